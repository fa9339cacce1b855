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
