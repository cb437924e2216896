"""Where the files that ship beside the code are: config/ and launch/."""

import sys
from pathlib import Path

from mvssm_ros.errors import UserError

PACKAGE = "mvssm_ros"


def share_dir() -> Path:
    """Return the folder that holds config/ and launch/.

    Looked for in this order, so that the files found belong to the code that runs:

    1. the checkout, if the code runs from one (editable install);
    2. the ament index: a workspace that colcon built, or a distribution's package;
    3. the prefix of the Python environment: a pip install, where AMENT_PREFIX_PATH is not set.

    Raises:
        UserError: none of them has the package.
    """
    checkout = Path(__file__).parent.parent
    if (checkout / "package.xml").is_file():
        return checkout
    indexed = _ament_share_dir()
    if indexed is not None:
        return indexed
    prefixed = Path(sys.prefix) / "share" / PACKAGE
    if (prefixed / "package.xml").is_file():
        return prefixed
    raise UserError(
        f"the data files of {PACKAGE} are neither in the ament index (AMENT_PREFIX_PATH) nor in "
        f"{prefixed}: source the workspace's install/setup.bash, or reinstall the package with pip"
    )


def _ament_share_dir() -> Path | None:
    try:
        from ament_index_python.packages import get_package_share_directory

        return Path(get_package_share_directory(PACKAGE))
    except (ImportError, LookupError, OSError):  # no ROS; package unknown; AMENT_PREFIX_PATH unset
        return None
