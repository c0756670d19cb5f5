"""The command line. Nothing heavy is imported before a command runs, and nothing of other commands at all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, Group

from weightgen.commands.table import COMMANDS
from weightgen.console import report_error
from weightgen.errors import Fault, InputError, UsageError, WeightgenError, printable
from weightgen.jobs.table import FIELDS, PROVE, REST, START
from weightgen.version import __version__

app = App(
    name="weightgen",
    version=__version__,
    help="Start a PyTorch model from better than random weights, and show how much better.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # main reports it
)
GROUPS = {name: Group(name, sort_key=place) for place, name in enumerate((START, FIELDS, PROVE, REST))}
NO_MEMORY = ("can't allocate memory", "CUDA out of memory", "not enough memory")
"""What torch says where NumPy and Python raise MemoryError."""
for _name, _command in COMMANDS.items():
    app.command(_command.path, name=_name, help=_command.help, group=GROUPS[_command.group])
app.register_install_completion_command()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a check says no, 2 usage, 3 input, 4 network, 70 a fault of ours, 130
    interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        code = app(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _refuse(_reason(error), words, as_json)
    except WeightgenError as error:
        report_error(error, as_json)
        sys.exit(error.exit_code)
    except KeyboardInterrupt as error:
        report_error(UsageError(str(error) or "interrupted; nothing was written"), as_json)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # permissions, a directory that vanished, an I/O error: nothing that a command foresaw
        where = f"{printable(error.filename)}: " if isinstance(error.filename, str) else ""
        report_error(InputError(f"{where}{error.strerror or error}"), as_json)
        sys.exit(InputError.exit_code)
    except MemoryError:
        _too_large(as_json)
    except UnicodeEncodeError as error:  # a word that no path can be; recipes name the option before it comes to that
        if not any("\ud800" <= c <= "\udfff" for word in words for c in word):
            _report_fault(error, words, as_json)
        report_error(UsageError(f"'{printable(str(error.object))}' is no UTF-8, and no name. Rename it."), as_json)
        sys.exit(UsageError.exit_code)
    except RuntimeError as error:
        if "Symlink loop" in str(error):  # from pathlib, before Python 3.13
            report_error(InputError(f"{printable(str(error))}. Check the path."), as_json)
            sys.exit(InputError.exit_code)
        if any(words in str(error) for words in NO_MEMORY):
            _too_large(as_json)
        _report_fault(error, words, as_json)
    except Exception as error:  # a fault of ours: everything that a user can mend is a WeightgenError
        _report_fault(error, words, as_json)
    sys.exit(code if isinstance(code, int) else 0)


def _too_large(as_json: bool) -> NoReturn:
    """Say that the machine's memory does not do, and exit with 3."""
    text = "not enough memory for this. Ask for smaller sizes or fewer items at a time, or free some memory."
    report_error(InputError(text), as_json)
    sys.exit(InputError.exit_code)


def _report_fault(error: Exception, words: Sequence[str], as_json: bool) -> NoReturn:
    """Say in two lines what went wrong and where its traceback is, and exit with 70."""
    import tempfile
    import traceback

    told = f"weightgen {__version__}: {' '.join(words)}\n\n{''.join(traceback.format_exception(error))}"
    with tempfile.NamedTemporaryFile("w", prefix="weightgen-fault-", suffix=".txt", delete=False) as file:
        file.write(told.encode("utf-8", "backslashreplace").decode())
    first = (str(error).splitlines() or [""])[0]
    report_error(
        Fault(
            f"unexpected {type(error).__name__}: {printable(first, 150)}\n"
            f"This is a fault of weightgen's. Its traceback is in {printable(file.name)}:\n"
            "please report it with that file. --help shows what was meant to be possible."
        ),
        as_json,
    )
    sys.exit(Fault.exit_code)


def _reason(error: CycloptsError) -> str:
    from pydantic import ValidationError

    from weightgen.recipe.base import told

    if isinstance(error.__cause__, ValidationError):  # the options are the fields of a recipe
        first = error.__cause__.errors()[0]
        return (f"--{first['loc'][0]}: ".replace("_", "-") if first["loc"] else "") + told(first)
    return str(error).strip().splitlines()[0]


def _refuse(text: str, words: Sequence[str], as_json: bool) -> NoReturn:
    help_of = f"weightgen {words[0]}" if words and words[0] in COMMANDS else "weightgen"
    report_error(UsageError(f"{text}\nSee: {help_of} --help"), as_json)
    sys.exit(UsageError.exit_code)
