"""Which accelerators a board has, whether it drives them, and whether this user may open them."""

from __future__ import annotations

import glob
import os
from typing import Any, Dict, List

from device_agent.board.pseudo_files import number_of, text_of

EDGETPU_USB = "edgetpu-usb"
EDGETPU_PCIE = "edgetpu-pcie"

#: USB identity of the Coral accelerator to its state: it shows the first until a program loaded its
#: firmware, the second from then on (google-coral/edgetpu issue 536).
_USB_STATES = {("1a6e", "089a"): "before its first use", ("18d1", "9302"): "ready"}

#: Vendor and device of the Coral PCIe, M.2 and Dev Board accelerator (google/gasket-driver, apex).
_PCI_IDENTITY = ("0x1ac1", "0x089a")

#: Device nodes of other accelerators, by what their drivers call them.
_NODES = {
    "dev/ethosu0": "ethos-u",
    "dev/galcore": "verisilicon-npu",
    "dev/rknpu": "rockchip-npu",
    "dev/fastrpc-cdsp": "hexagon",
    "dev/nvhost-ctrl-nvdla0": "nvidia-dla",
    "dev/accel/accel0": "drm-accel",
}


def find_accelerators(root: str) -> List[Dict[str, Any]]:
    """Find the accelerators of a board.

    Args:
        root: Folder that holds `dev/` and `sys/`.

    Returns:
        One record for each: `kind`, `path` and `usable` (whether this user may read and write its
        node). A Coral accelerator also has `state` and `node` (its device node; empty without one),
        and one on USB `usb_mbits` (the negotiated speed; 0 is unknown).
    """
    return [*edgetpu_sticks(root), *_pcie(root), *_nodes(root)]


def edgetpu_sticks(root: str) -> List[Dict[str, Any]]:
    """Find the Edge TPUs on USB; the records are those of `find_accelerators`."""
    found = []
    for folder in sorted(glob.glob(os.path.join(root, "sys/bus/usb/devices/*"))):
        identity = (text_of(folder, "idVendor"), text_of(folder, "idProduct"))
        if identity not in _USB_STATES:
            continue
        bus, device = text_of(folder, "busnum"), text_of(folder, "devnum")
        node = ""
        if bus.isdigit() and device.isdigit():
            node = "/dev/bus/usb/{:03d}/{:03d}".format(int(bus), int(device))
        speed = number_of(folder, "speed")
        found.append(
            {
                "kind": EDGETPU_USB,
                "path": _board_path(root, folder),
                "usable": bool(node) and _usable(root, node),
                "state": _USB_STATES[identity],
                "node": node,
                "usb_mbits": int(speed) if speed > 0 else 0,
            }
        )
    return found


def _pcie(root: str) -> List[Dict[str, Any]]:
    nodes = sorted(glob.glob(os.path.join(root, "dev/apex_[0-9]*")))
    if nodes:
        return [
            {
                "kind": EDGETPU_PCIE,
                "path": node,
                "usable": _usable(root, node),
                "state": "ready",
                "node": node,
            }
            for node in (_board_path(root, found) for found in nodes)
        ]
    driven = bool(glob.glob(os.path.join(root, "sys/class/apex/apex_*")))
    return [
        {
            "kind": EDGETPU_PCIE,
            "path": _board_path(root, folder),
            "usable": False,
            "state": "no device node" if driven else "no driver",
            "node": "",
        }
        for folder in sorted(glob.glob(os.path.join(root, "sys/bus/pci/devices/*")))
        if (text_of(folder, "vendor"), text_of(folder, "device")) == _PCI_IDENTITY
    ]


def _nodes(root: str) -> List[Dict[str, Any]]:
    return [
        {"kind": kind, "path": "/" + path, "usable": _usable(root, path)}
        for path, kind in _NODES.items()
        if os.path.exists(os.path.join(root, path))
    ]


def _usable(root: str, node: str) -> bool:
    return os.access(os.path.join(root, node.lstrip("/")), os.R_OK | os.W_OK)


def _board_path(root: str, path: str) -> str:
    return "/" + os.path.relpath(path, root)
