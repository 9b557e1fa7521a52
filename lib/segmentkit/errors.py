"""The kit's errors. Each message says what is wrong, where, and what to do; each class has one exit code."""


class KitError(Exception):
    """Something the reader can mend; the message says how."""

    exit_code = 1


class ParameterError(KitError):
    """A parameter or command-line choice that cannot be used; found before any kernel starts."""

    exit_code = 2


class EnvironmentFault(KitError):
    """The machine or the installation is not what the kit needs."""

    exit_code = 3


class UpstreamError(KitError):
    """A table that an earlier notebook should have written is missing or was changed."""

    exit_code = 4


class AuditError(KitError):
    """The data failed a check that must not be passed over."""

    exit_code = 5


class PrivacyStop(KitError):
    """Going on would use or show personal data without a stated basis."""

    exit_code = 6


class DataError(KitError):
    """The data cannot carry the analysis that was asked for."""


def exit_code_of(class_name: str) -> int:
    """Exit code for an error known only by its class name, as a notebook reports it; 1 where unknown."""
    known = {cls.__name__: cls.exit_code for cls in KitError.__subclasses__()}
    return known.get(class_name, 1)
