"""The few things that Perdure wants of a cluster. `KubeClient` does them; tests have one in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from launcher.kube.kinds import Kind
from launcher.manifests import KubeVersion

Object: TypeAlias = dict[str, Any]
"""An object as the API serves it: plain data, with whatever fields the server knows."""


@dataclass(frozen=True)
class LogRequest:
    """Which part of a container's log.

    Attributes:
        previous: That of the container's instance before this one.
        tail: Only so many of its last lines; None for all.
        since: Only what was written at or after this time, as RFC 3339; None for all.
        follow: Wait for more, until the container ends.
        timestamps: Begin each line with when it was written, as RFC 3339, and a space.
    """

    previous: bool = False
    tail: int | None = None
    since: str | None = None
    follow: bool = False
    timestamps: bool = False


@dataclass(frozen=True)
class Access:
    """Something that one may be allowed to do in the namespace.

    Attributes:
        verb: As in a role of Kubernetes, such as `create`.
        kind: Of what.
        subresource: Of which part of it, such as `log`; empty for the object itself.
    """

    verb: str
    kind: Kind
    subresource: str = ""


class Kube(Protocol):
    """A cluster, seen from one namespace. Every method raises `KubeError`, or the subclass that fits."""

    @property
    def namespace(self) -> str:
        """Where objects are made and looked for."""

    def version(self) -> KubeVersion:
        """The server's version.

        Raises:
            TooOldError: It is older than `launcher.manifests.OLDEST`.
        """

    def apply(
        self,
        manifest: Mapping[str, Any],
        manager: str,
        *,
        dry_run: bool = False,
        force: bool = False,
        whole: bool = True,
    ) -> Object:
        """Applies a manifest on the server's side, as field manager `manager`.

        Args:
            manifest: What the manager wants of the object, and no more. One with `metadata.uid` changes just
                that object, and makes none.
            manager: Name of the field manager; it gives up what it had before and what isn't there now.
            dry_run: Check everything, admission included, and store nothing.
            force: Take over fields that belong to other managers.
            whole: Return not only its kind and metadata; a thousand whole Jobs take a second to read.

        Returns:
            The object as it is now, or would be.

        Raises:
            ConflictError: A field belongs to another manager, or the uid is not that of the object.
            InvalidError: The server rejects it; unknown fields are rejected too.
        """

    def allows(self, access: Access) -> bool:
        """Asks the server whether it would allow something; everybody may ask that of himself."""

    def get(self, kind: Kind, name: str, *, whole: bool = True) -> Object:
        """Reads an object.

        Args:
            kind: Its kind.
            name: Its name.
            whole: Not only its metadata; the content of a Secret is nobody's business.

        Raises:
            NotFoundError: There is none of that name.
        """

    def list(
        self,
        kind: Kind,
        selector: str,
        *,
        whole: bool = True,
        fields: str = "",
        page: int | None = None,
        everywhere: bool = False,
    ) -> list[Object]:
        """Reads all objects that a label selector fits.

        Args:
            kind: Their kind.
            selector: As kubectl takes it; empty for every object of the kind.
            whole: Not only their metadata; a ConfigMap with an experiment may be large.
            fields: A field selector, such as `type=Warning`; any if empty.
            page: Ask for at most so many at once, in as many calls as that takes; None for all at once.
            everywhere: Of all namespaces.
        """

    def delete(
        self,
        kind: Kind,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
        force: bool = False,
    ) -> None:
        """Deletes an object, and in the background whatever it owns.

        Args:
            kind: Its kind.
            name: Its name.
            uid: Only the object with this uid.
            version: Only while it is as it was when this `resourceVersion` was read.
            force: Without waiting for a word from the node, for pods on nodes that are lost.

        Raises:
            NotFoundError: There is none of that name.
            ConflictError: It has another uid, or has changed.
        """

    def log(self, pod: str, request: LogRequest) -> Iterator[str]:
        """The lines of a pod's first container, without their ends.

        Raises:
            NotFoundError: There is no such pod.
            InvalidError: The container has not started yet, or had no instance before this one.
        """
