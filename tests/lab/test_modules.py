import lzma
from pathlib import Path

import pytest

from kautopsy.lab.errors import LabError, NoModuleError
from kautopsy.lab.modules import ModuleTree, module_name

# Lines as depmod writes them: all that is needed, directly or not, the most basic last.
DEP = """\
kernel/drivers/virtio/virtio.ko.xz:
kernel/drivers/virtio/virtio_ring.ko.xz: kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/virtio/virtio-pci.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz \
kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/net/virtio_net.ko.xz: kernel/net/core/failover.ko.xz \
kernel/drivers/virtio/virtio_ring.ko.xz kernel/drivers/virtio/virtio.ko.xz
kernel/net/core/failover.ko.xz:
"""


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    (tmp_path / "modules.dep").write_text(DEP)
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/lib/crc-t10dif.ko\n")
    return ModuleTree.read(tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("kernel/drivers/virtio/virtio-pci.ko.xz", "virtio_pci"),
        ("kernel/fs/ext4/ext4.ko", "ext4"),
        ("a.b.ko.zst", "a.b"),
    ],
)
def test_module_name(path: str, name: str) -> None:
    assert module_name(path) == name


def test_each_comes_after_what_it_needs_and_once(tree: ModuleTree) -> None:
    names = [module_name(path) for path in tree.order(("virtio_net", "virtio-pci"))]
    assert sorted(names) == ["failover", "virtio", "virtio_net", "virtio_pci", "virtio_ring"]
    for path in tree.order(("virtio_net", "virtio-pci")):
        at = names.index(module_name(path))
        assert all(names.index(module_name(needed)) < at for needed in tree.depends[path])


def test_built_in_needs_no_file(tree: ModuleTree) -> None:
    assert tree.order(("ext4", "crc_t10dif")) == ()


def test_unknown_is_named(tree: ModuleTree) -> None:
    with pytest.raises(NoModuleError) as caught:
        tree.order(("nouveau",))
    assert caught.value.thing == "nouveau"


def test_modules_are_unpacked(tmp_path: Path, tree: ModuleTree) -> None:
    (tmp_path / "a.ko.xz").write_bytes(lzma.compress(b"\x7fELF..."))
    (tmp_path / "b.ko").write_bytes(b"\x7fELF,,,")
    assert tree.read_module("a.ko.xz") == b"\x7fELF..."
    assert tree.read_module("b.ko") == b"\x7fELF,,,"


def test_a_tree_without_depmod_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        ModuleTree.read(tmp_path)
    assert caught.value.thing.endswith("modules.dep")
