"""`fleet completion`: the script by which a shell completes `fleet`."""

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script by which a shell completes commands, options, hosts and groups.

    \b
    bash, in ~/.bashrc:                   eval "$(fleet completion bash)"
    zsh, in ~/.zshrc, after compinit:     eval "$(fleet completion zsh)"
    fish, in ~/.config/fish/config.fish:  fleet completion fish | source
    """
    from fleet.completion import script

    click.echo(script(shell), nl=False)
