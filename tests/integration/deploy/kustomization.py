"""The part of kustomize that deploy/kubernetes uses: resources, namespace, labels, images, strategic-merge patches.

Whatever else a kustomization says fails: it would be left out in silence. test_kubernetes.py holds this against the
real one where kubectl is installed.
"""

from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

KNOWN = {"apiVersion", "kind", "resources", "namespace", "labels", "patches", "images"}
CLUSTER_WIDE = ("Namespace",)
# Lists of objects are merged by a key, where Kubernetes says so; others are replaced.
MERGE_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}


def built(folder: Path) -> list[Document]:
    """The documents that `kubectl apply -k` would send. Raises ValueError for what it does not understand."""
    (said,) = documents(folder / "kustomization.yaml")
    if unknown := said.keys() - KNOWN:
        raise ValueError(f"{folder}: {unknown} is not understood here")
    made = [found for name in said["resources"] for found in _resource(folder / name)]
    for patch in said.get("patches", ()):
        if patch.keys() != {"path"}:
            raise ValueError(f"{folder}: a patch with more than a path is not understood here")
        for change in documents(folder / patch["path"]):
            _patch(made, change)
    for document in made:
        if "namespace" in said and document["kind"] not in CLUSTER_WIDE:
            document["metadata"]["namespace"] = said["namespace"]
        for label in said.get("labels", ()):
            if label.keys() != {"pairs"}:
                raise ValueError(f"{folder}: labels with more than pairs are not understood here")
            document["metadata"].setdefault("labels", {}).update(label["pairs"])
        for container in containers(document):
            for image in said.get("images", ()):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
    return made


def documents(path: Path) -> list[Document]:
    """All documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text()))


def containers(document: Document) -> list[Document]:
    """The containers of a Deployment; none of others."""
    found: list[Document] = document["spec"]["template"]["spec"]["containers"] if _has_pods(document) else []
    return found


def named(made: list[Document], kind: str, name: str) -> Document:
    """The one document of that kind and name."""
    (found,) = [one for one in made if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def _has_pods(document: Document) -> bool:
    return document["kind"] == "Deployment"


def _resource(path: Path) -> list[Document]:
    return built(path) if path.is_dir() else documents(path)


def _patch(made: list[Document], change: Document) -> None:
    targets = [
        one
        for one in made
        if (one["apiVersion"], one["kind"], one["metadata"]["name"])
        == (change["apiVersion"], change["kind"], change["metadata"]["name"])
    ]
    if len(targets) != 1:
        raise ValueError(f"a patch for {change['kind']} {change['metadata']['name']} has {len(targets)} targets")
    _merge(targets[0], change)


def _merge(into: Document, change: Document) -> None:
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, list) and key in MERGE_KEYS and key in into:
            _merge_list(into[key], value, MERGE_KEYS[key])
        else:
            into[key] = value


def _merge_list(into: list[Document], changes: list[Document], key: str) -> None:
    for change in changes:
        known = [one for one in into if one[key] == change[key]]
        if known:
            _merge(known[0], change)
        else:
            into.append(change)
