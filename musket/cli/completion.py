"""``musket completion``."""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish", "powershell")

_TURN_ON = """\
To turn completion on, put a line into the start-up file of the shell:

  bash, in ~/.bashrc
      eval "$(musket completion bash)"
  zsh, in ~/.zshrc, after compinit
      eval "$(musket completion zsh)"
  fish, in ~/.config/fish/config.fish
      musket completion fish | source
  powershell, in $PROFILE
      musket completion powershell | Out-String | Invoke-Expression
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Which shell."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Print the code that lets a shell complete commands, options, experiments and tasks."
    parser.epilog = _TURN_ON
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to complete")


def run(arguments: argparse.Namespace) -> int:
    """Print the shell's code."""
    import argcomplete

    print(argcomplete.shellcode(["musket"], shell=arguments.shell))
    return 0
