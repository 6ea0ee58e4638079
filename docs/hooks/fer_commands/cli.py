import click


@click.command()
@click.argument("name")
def greet(name):
    """Say hello to NAME."""
    click.echo(f"Hello {name}")
