"""``crosskd-lab`` as a user calls it, in this process."""

from collections.abc import Callable

import pytest

from crosskd_lab import cli

Said = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """``run("eval", ...)``: exit code, stdout and stderr."""

    def called(*words: object) -> Said:
        with pytest.raises(SystemExit) as ended:
            cli.main([*map(str, words)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return called
