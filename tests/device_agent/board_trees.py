"""What the pseudo file systems of real boards say, as folders that stand for their root."""

from pathlib import Path

RASPBERRY_PI_4 = {
    "proc/loadavg": "0.52 0.58 0.59 2/217 31415\n",
    "proc/meminfo": (
        "MemTotal:        3882208 kB\nMemFree:         2991508 kB\n"
        "MemAvailable:    3400000 kB\nSwapTotal:        102396 kB\nSwapFree:         100000 kB\n"
    ),
    "proc/cpuinfo": (
        "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
        "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nRevision\t: c03112\n"
        "Model\t\t: Raspberry Pi 4 Model B Rev 1.2\n"
    ),
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.2\0",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n',
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "52582\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_type": "critical\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_temp": "110000\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_type": "hot\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_temp": "85000\n",
    "sys/class/thermal/thermal_zone0/trip_point_2_type": "active\n",
    "sys/class/thermal/thermal_zone0/trip_point_2_temp": "50000\n",
    "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device0/cur_state": "2\n",
    "sys/class/thermal/cooling_device1/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device1/cur_state": "4\n",
    "sys/devices/system/cpu/cpufreq/policy0/stats/time_in_state": "600000 5000\n1500000 70\n",
    "proc/sys/kernel/random/boot_id": "5f2c\n",
    "proc/vmstat": "nr_free_pages 100\noom_kill 3\nnuma_hit 7\n",
    "usr/lib/aarch64-linux-gnu/libstdc++.so.6": "\0GLIBCXX_3.4\0GLIBCXX_3.4.9\0GLIBCXX_3.4.30\0",
    **{
        f"sys/devices/system/cpu/cpu{number}/cpufreq/{name}": value
        for number in range(4)
        for name, value in {
            "scaling_governor": "ondemand\n",
            "scaling_cur_freq": "600000\n",
            "scaling_max_freq": "1500000\n",
        }.items()
    },
}

JETSON = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\n",
    "etc/os-release": 'PRETTY_NAME="Ubuntu 22.04.4 LTS"\n',
    "proc/meminfo": "MemAvailable: 5000000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48500\n",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "-256000\n",
    # A zone that is switched off has no temperature that one could read.
    "sys/class/thermal/thermal_zone2/type": "cv0-thermal\n",
    "sys/class/thermal/thermal_zone2/temp/is_a_folder": "",
}

#: Its INA3221: two rails that carry a label, one that is switched off.
JETSON_POWER = {
    "sys/class/hwmon/hwmon0/name": "soc_thermal\n",
    "sys/class/hwmon/hwmon1/name": "ina3221\n",
    "sys/class/hwmon/hwmon1/in1_label": "VDD_IN\n",
    "sys/class/hwmon/hwmon1/in1_input": "5000\n",
    "sys/class/hwmon/hwmon1/curr1_input": "1200\n",
    "sys/class/hwmon/hwmon1/in2_label": "VDD_CPU_GPU_CV\n",
    "sys/class/hwmon/hwmon1/in2_input": "4960\n",
    "sys/class/hwmon/hwmon1/curr2_input": "250\n",
    "sys/class/hwmon/hwmon1/curr3_input/is_a_folder": "",
}

#: A board with a power monitor of one channel.
ONE_RAIL = {
    "sys/class/hwmon/hwmon0/name": "ina226\n",
    "sys/class/hwmon/hwmon0/power1_input": "2500000\n",
}

#: A Coral Dev Board: its Edge TPU is on PCIe.
CORAL = {
    "sys/class/apex/apex_0/temp": "56050\n",
    "sys/class/apex/apex_0/trip_point0_temp": "85000\n",
}

#: A stick in a USB 2 port that has loaded its firmware, beside a keyboard.
CORAL_STICK = {
    "sys/bus/usb/devices/1-1/idVendor": "046d\n",
    "sys/bus/usb/devices/1-1/idProduct": "c31c\n",
    "sys/bus/usb/devices/1-1/speed": "1.5\n",
    "sys/bus/usb/devices/1-2/idVendor": "18d1\n",
    "sys/bus/usb/devices/1-2/idProduct": "9302\n",
    "sys/bus/usb/devices/1-2/speed": "480\n",
}

BIG_LITTLE = {
    "proc/device-tree/model": "Radxa ROCK 5B\0",
    **{
        f"sys/devices/system/cpu/cpu{number}/cpufreq/{name}": value
        for number, governor, most in [
            (0, "schedutil", "1800000"),
            (4, "performance", "2400000"),
            (10, "performance", "2400000"),
        ]
        for name, value in {
            "scaling_governor": governor,
            "scaling_cur_freq": "408000",
            "scaling_max_freq": most,
        }.items()
    },
    "sys/class/thermal/thermal_zone0/type": "soc-thermal",
    "sys/class/thermal/thermal_zone0/temp": "40000",
    "sys/class/thermal/thermal_zone1/type": "soc-thermal",
    "sys/class/thermal/thermal_zone1/temp": "41000",
}

X86_CPUINFO = (
    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Core(TM) i7 CPU\n"
    "flags\t\t: fpu vme sse2\n"
)

NOTHING: dict[str, str] = {}

GARBAGE = {
    "proc/loadavg": "no numbers here\n",
    "proc/meminfo": "MemTotal\n: :\nMemAvailable: lots kB\nSwapTotal: -5 kB\n",
    "proc/cpuinfo": "\xff\xfe model name",
    "proc/device-tree/model": "",
    "etc/os-release": "PRETTY_NAME=\n",
    "sys/class/thermal/thermal_zone0/temp": "warm\n",
    "sys/class/thermal/thermal_zone1/temp": "",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "<unknown>\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "\u0663\u0664\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "\n",
    "usr/lib/libstdc++.so.6": "",
}


def make_tree(root: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return str(root)


def device_tree(
    model: str,
    compatible: list[str],
    cores: list[tuple[str, str]],
    features: str = "fp asimd evtstrm crc32 cpuid",
) -> dict[str, str]:
    """A board by its device tree and its cores, `(implementer, part)` of each."""
    blocks = [
        f"processor\t: {number}\nFeatures\t: {features}\nCPU implementer\t: {implementer}\n"
        f"CPU part\t: {part}\n"
        for number, (implementer, part) in enumerate(cores)
    ]
    return {
        "proc/device-tree/model": model + "\0",
        "proc/device-tree/compatible": "".join(name + "\0" for name in compatible),
        "proc/cpuinfo": "\n".join(blocks),
    }


def with_clocks(tree: dict[str, str], clocks: list[tuple[int, int]]) -> dict[str, str]:
    """Add `(capacity, highest kHz)` of each core to a tree."""
    folder = "sys/devices/system/cpu/cpu{}/{}"
    more = {}
    for number, (capacity, most) in enumerate(clocks):
        more[folder.format(number, "cpu_capacity")] = f"{capacity}\n"
        more[folder.format(number, "cpufreq/cpuinfo_max_freq")] = f"{most}\n"
    return {**tree, **more}


def usb_edgetpu(vendor: str, product: str, speed: int) -> dict[str, str]:
    """A Coral USB accelerator, in one of its two states, at a speed in Mbit/s."""
    folder = "sys/bus/usb/devices/2-1/"
    return {
        folder + "idVendor": vendor + "\n",
        folder + "idProduct": product + "\n",
        folder + "speed": f"{speed}\n",
        folder + "busnum": "2\n",
        folder + "devnum": "3\n",
        "dev/bus/usb/002/003": "",
    }


A53, A72, A76 = ("0x41", "0xd03"), ("0x41", "0xd08"), ("0x41", "0xd0b")
_ARMV7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"

#: Profile to what such a board shows; the strings are those of the kernel's device trees.
BOARDS = {
    "raspberry-pi-1-zero": device_tree(
        "Raspberry Pi Zero W Rev 1.1",
        ["raspberrypi,model-zero-w", "brcm,bcm2835"],
        [("0x41", "0xb76")],
        "half thumb fastmult vfp edsp java tls",
    ),
    "raspberry-pi-zero-2-w": device_tree(
        "Raspberry Pi Zero 2 W Rev 1.0", ["raspberrypi,model-zero-2-w", "brcm,bcm2837"], [A53] * 4
    ),
    "raspberry-pi-3": device_tree(
        "Raspberry Pi 3 Model B Plus Rev 1.3",
        ["raspberrypi,3-model-b-plus", "brcm,bcm2837"],
        [A53] * 4,
    ),
    "raspberry-pi-4": device_tree(
        "Raspberry Pi 4 Model B Rev 1.4", ["raspberrypi,4-model-b", "brcm,bcm2711"], [A72] * 4
    ),
    "raspberry-pi-5": device_tree(
        "Raspberry Pi 5 Model B Rev 1.0",
        ["raspberrypi,5-model-b", "brcm,bcm2712"],
        [A76] * 4,
        "fp asimd aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
    "coral-dev-board": device_tree(
        "Freescale i.MX8MQ Phanbell", ["google,imx8mq-phanbell", "fsl,imx8mq"], [A53] * 4
    ),
    "jetson-nano": device_tree(
        "NVIDIA Jetson Nano Developer Kit",
        ["nvidia,p3450-0000", "nvidia,tegra210"],
        [("0x41", "0xd07")] * 4,
    ),
    "jetson-orin-nano": device_tree(
        "NVIDIA Jetson Orin Nano Developer Kit",
        ["nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"],
        [("0x41", "0xd42")] * 6,
    ),
    "beaglebone-black": device_tree(
        "TI AM335x BeagleBone Black",
        ["ti,am335x-bone-black", "ti,am335x-bone", "ti,am33xx"],
        [("0x41", "0xc08")],
        "half thumb fastmult vfp edsp thumbee neon vfpv3 tls vfpd32",
    ),
    "beagleplay": device_tree(
        "BeagleBoard.org BeaglePlay", ["beagle,am625-beagleplay", "ti,am625"], [A53] * 4
    ),
    "stm32mp157": device_tree(
        "STMicroelectronics STM32MP157C-DK2 Discovery Board",
        ["st,stm32mp157c-dk2", "st,stm32mp157"],
        [("0x41", "0xc07")] * 2,
        _ARMV7,
    ),
    "odroid-xu4": device_tree(
        "Hardkernel Odroid XU4",
        ["hardkernel,odroid-xu4", "samsung,exynos5800", "samsung,exynos5"],
        [("0x41", "0xc07")] * 4 + [("0x41", "0xc0f")] * 4,
        _ARMV7,
    ),
    "rock-pi-4": with_clocks(
        device_tree(
            "Radxa ROCK Pi 4B",
            ["radxa,rockpi4b", "radxa,rockpi4", "rockchip,rk3399"],
            [A53] * 4 + [A72] * 2,
        ),
        [(485, 1416000)] * 4 + [(1024, 1800000)] * 2,
    ),
    "rk3588": with_clocks(
        device_tree(
            "Radxa ROCK 5B",
            ["radxa,rock-5b", "rockchip,rk3588"],
            [("0x41", "0xd05")] * 4 + [A76] * 4,
        ),
        [(530, 1800000)] * 4 + [(1024, 2256000)] * 2 + [(1024, 2304000)] * 2,
    ),
    "khadas-vim3": device_tree(
        "Khadas VIM3",
        ["khadas,vim3", "amlogic,a311d", "amlogic,g12b"],
        [A53] * 2 + [("0x41", "0xd09")] * 4,
    ),
    "ti-tda4vm": device_tree(
        "BeagleBoard.org BeagleBone AI-64",
        ["beagle,j721e-beagleboneai64", "ti,j721e"],
        [A72] * 2,
    ),
}
