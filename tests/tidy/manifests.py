"""k8s/ as a cluster gets it, without kubectl: reads the YAML and applies the base's patches as kustomize would.

Only what the base uses is understood: resources, strategic merge patches with a target of kind and labels, and labels.
Where kubectl is installed, `test_kubernetes.py` has it build the overlays as well.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from tests.tidy.tree import ROOT

K8S = ROOT / "k8s"
BASE = K8S / "base"
MERGE_KEYS = ("name", "mountPath", "containerPort")
"""What tells the items of a list apart; other lists are replaced as a whole."""

Node = str | int | float | bool | None | list["Node"] | dict[str, "Node"]


@dataclass(frozen=True)
class Manifest:
    """One object, with ways down into it that fail with a readable message."""

    path: Path
    content: dict[str, Node]

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}: {self.kind}/{self.name}"

    @property
    def kind(self) -> str:
        return self.text("kind")

    @property
    def name(self) -> str:
        return self.text("metadata", "name")

    @property
    def labels(self) -> dict[str, Node]:
        return self.table("metadata", "labels")

    @property
    def container(self) -> "Manifest":
        """The only container of the pods."""
        containers = self.items("spec", "template", "spec", "containers")
        assert len(containers) == 1, f"{self}: one process, one container"
        return Manifest(self.path, containers[0])

    def at(self, *keys: str) -> Node:
        """The node there; None where nothing is."""
        node: Node = self.content
        for key in keys:
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def text(self, *keys: str) -> str:
        node = self.at(*keys)
        assert isinstance(node, str), f"{self.path}: {'.'.join(keys)} is missing"
        return node

    def number(self, *keys: str) -> int:
        node = self.at(*keys)
        assert isinstance(node, int), f"{self.path}: {'.'.join(keys)} is missing"
        return node

    def table(self, *keys: str) -> dict[str, Node]:
        node = self.at(*keys)
        return node if isinstance(node, dict) else {}

    def items(self, *keys: str) -> list[dict[str, Node]]:
        node = self.at(*keys)
        return [item for item in node if isinstance(item, dict)] if isinstance(node, list) else []


def read(path: Path) -> list[Manifest]:
    """Every object of a file."""
    return [Manifest(path, content) for content in yaml.safe_load_all(path.read_text()) if content]


def read_all(folder: Path) -> Iterator[Manifest]:
    for path in sorted(folder.rglob("*.yaml")):
        yield from read(path)


@cache
def base() -> tuple[Manifest, ...]:
    """All objects of the base, patches and labels applied."""
    [kustomization] = read(BASE / "kustomization.yaml")
    names = kustomization.at("resources")
    assert isinstance(names, list)
    found = [manifest for name in names for manifest in read(BASE / str(name))]
    for patch in kustomization.items("patches"):
        [change] = read(BASE / str(patch["path"]))
        target = Manifest(BASE, patch).table("target")
        found = [patched(manifest, change) if targeted(manifest, target) else manifest for manifest in found]
    return tuple(labelled(manifest, kustomization.items("labels")) for manifest in found)


def targeted(manifest: Manifest, target: Mapping[str, Node]) -> bool:
    if manifest.kind != target.get("kind"):
        return False
    wanted = re.fullmatch(r"(\S+?)(?:=| in \()([^)]*)\)?", str(target.get("labelSelector", "kind=any")))
    assert wanted, f"cannot read the label selector {target}"
    label, values = wanted[1], [value.strip() for value in wanted[2].split(",")]
    return "labelSelector" not in target or manifest.labels.get(label) in values


def patched(manifest: Manifest, change: Manifest) -> Manifest:
    merged = merge(manifest.content, {key: change.content[key] for key in change.content if key == "spec"})
    assert isinstance(merged, dict)
    return Manifest(manifest.path, merged)


def labelled(manifest: Manifest, entries: Sequence[Mapping[str, Node]]) -> Manifest:
    merged: Node = manifest.content
    for entry in entries:
        pairs = entry["pairs"]
        merged = merge(merged, {"metadata": {"labels": pairs}})
        if entry.get("includeTemplates") and manifest.at("spec", "template"):
            merged = merge(merged, {"spec": {"template": {"metadata": {"labels": pairs}}}})
    assert isinstance(merged, dict)
    return Manifest(manifest.path, merged)


def merge(node: Node, change: Node) -> Node:
    """Strategic merge: tables by key, lists of named things by name, everything else replaced."""
    if isinstance(node, dict) and isinstance(change, dict):
        merged = dict(node)
        for key, value in change.items():
            merged[key] = merge(node[key], value) if key in node else value
        return merged
    if isinstance(node, list) and isinstance(change, list):
        return merge_lists(node, change)
    return change


def merge_lists(node: list[Node], change: list[Node]) -> list[Node]:
    merged = list(node)
    for item in change:
        key = next((key for key in MERGE_KEYS if isinstance(item, dict) and key in item), None)
        if key is None or not isinstance(item, dict):
            return change
        same = [at for at, old in enumerate(merged) if isinstance(old, dict) and old.get(key) == item[key]]
        if same:
            merged[same[0]] = merge(merged[same[0]], item)
        else:
            merged.append(item)
    return merged
