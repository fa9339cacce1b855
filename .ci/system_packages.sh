#!/bin/sh
# The programs of the system that the test boards are made of: installs the missing ones where it
# may (root, apt), otherwise says which are missing and which tests will skip.
set -eu

# A program that shows whether the package is there, the package, and what skips without it.
parts='
ssh            openssh-client     the_ssh_and_arm64_boards
sshd           openssh-server     the_ssh_board
debootstrap    debootstrap        the_arm64_board
qemu-aarch64-static qemu-user-static the_arm64_board
update-binfmts binfmt-support     the_arm64_board
dropbear       dropbear-bin       Dropbear
tcsh           tcsh               other_login_shells
fish           fish               other_login_shells
g++            g++                the_C++_lines_for_applications
bwrap          bubblewrap         the_sandbox_of_a_conversion
chromium       chromium           the_page_of_a_report
postgres       postgresql         a_search_on_several_machines
'
PATH=$PATH:/usr/sbin:/sbin
for folder in /usr/lib/postgresql/*/bin; do PATH=$PATH:$folder; done

missing=
packages=
while read -r program package skips; do
    [ -n "$program" ] || continue
    if ! command -v "$program" >/dev/null 2>&1; then
        missing="$missing
  $program (package $package): without it, tests of $(echo "$skips" | tr _ ' ') skip"
        packages="$packages $package"
    fi
done <<EOT
$parts
EOT

[ -n "$packages" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "These programs are missing:$missing"
    echo "On Debian and Ubuntu, as root: apt-get install$packages"
    exit 0
fi

# openssh-server would start a server on port 22 and at every boot; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT INT TERM
fi
export DEBIAN_FRONTEND=noninteractive
install="apt-get install --yes --no-install-recommends -o Dpkg::Use-Pty=0 -qq"
echo "installing$packages"
# A fresh machine has no package lists yet, or lists that name files which are gone.
# shellcheck disable=SC2086
if ! $install $packages >/dev/null 2>&1; then
    apt-get update -qq
    $install $packages >/dev/null
fi
case $packages in
*openssh-server*)
    if [ -d /run/systemd/system ]; then
        systemctl disable --now ssh.service ssh.socket >/dev/null 2>&1 || true
    fi
    ;;
esac
