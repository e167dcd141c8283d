"""A cluster as far as one may look: what may not be read is unknown, and never an error."""

from launcher.kube import Access, ForbiddenError, InvalidError, Kind, Kube, NotFoundError, Object


class Sight:
    """Reads objects of a cluster, each at most once.

    Args:
        kube: The cluster.
    """

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self._objects: dict[tuple[Kind, str], Object | None] = {}
        self._known: dict[tuple[Kind, str], bool] = {}
        self._lists: dict[tuple[Kind, str], list[Object] | None] = {}

    def lacks(self, kind: Kind, name: str) -> bool:
        """Whether an object is known not to be there; of what is there only the metadata is read."""
        if (kind, name) not in self._known:
            self._known[kind, name] = False
            try:
                self.kube.get(kind, name, whole=False)
            except NotFoundError:
                self._known[kind, name] = True
            except (ForbiddenError, InvalidError):
                pass
        return self._known[kind, name]

    def allows(self, access: Access) -> bool | None:
        """Whether something is allowed; None where one may not even ask."""
        try:
            return self.kube.allows(access)
        except (NotFoundError, ForbiddenError, InvalidError):
            return None

    def get(self, kind: Kind, name: str) -> Object | None:
        """An object; None where it is not there or may not be read."""
        if (kind, name) not in self._objects:
            try:
                self._objects[kind, name] = self.kube.get(kind, name)
            except (NotFoundError, ForbiddenError, InvalidError):
                self._objects[kind, name] = None
        return self._objects[kind, name]

    def list(self, kind: Kind, selector: str = "") -> "list[Object] | None":
        """All objects that a selector fits; None where they may not be read."""
        if (kind, selector) not in self._lists:
            try:
                self._lists[kind, selector] = self.kube.list(kind, selector)
            except (NotFoundError, ForbiddenError, InvalidError):
                self._lists[kind, selector] = None
        return self._lists[kind, selector]
