"""``crosskd-lab doctor``: one line for each thing that the lab needs."""

import typer


def doctor() -> None:
    """Check python, torch, packages, ops and disk; say what to do about each FAIL."""
    from rich.console import Console
    from rich.markup import escape

    from ..engine.doctor import findings

    console = Console(highlight=False, soft_wrap=True)
    failed = 0
    with console.status("a few seconds more: mmdet is being imported"):
        for finding in findings():
            failed += not finding.ok
            mark = "[green]OK  [/]" if finding.ok else "[bold red]FAIL[/]"
            console.print(f"{mark} {finding.name:<18} {escape(finding.detail)}", end="")
            console.print("" if finding.ok else f" -> [bold]{escape(finding.remedy)}[/]")
    if failed:
        console.print(f"[bold red]{failed} FAIL[/]: do what stands behind the arrow")
        raise typer.Exit(1)
    console.print("[green]All is well.[/]")
