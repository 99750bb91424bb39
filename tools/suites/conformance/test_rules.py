"""Each rule as a test. Rules that do not apply to the server are skipped with the reason."""

from __future__ import annotations

import pytest

from .grpc_client import Status
from .registry import RULES, Miss, NotApplicable, Rule
from .server import Server


def parameter(rule: Rule) -> object:
    marks = [pytest.mark.section(name=rule.section)]
    if rule.extension:
        marks.append(pytest.mark.extension(name=rule.extension))
    if rule.needs_grpc:
        marks.append(pytest.mark.grpc)
    return pytest.param(rule, id=rule.id, marks=marks)


@pytest.mark.parametrize("rule", [parameter(rule) for rule in RULES])
def test_rule(rule: Rule, server: Server) -> None:
    if rule.extension and not server.has_extension(rule.extension):
        pytest.skip(f"the extension {rule.extension} is not advertised")
    if rule.needs_grpc and server.grpc is None:
        pytest.skip("no --grpc is given")
    try:
        rule.check(server)
    except NotApplicable as reason:
        pytest.skip(str(reason))
    except (Miss, Status) as came:
        pytest.fail(str(came), pytrace=False)
    except OSError as error:
        pytest.fail(f"no answer: {type(error).__name__}: {error}", pytrace=False)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        # An answer of another form than any rule foresees.
        pytest.fail(f"the answer cannot be read: {type(error).__name__}: {error}", pytrace=False)
