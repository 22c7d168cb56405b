"""Options, fixtures and reports come from the harness's pytest plugin."""

pytest_plugins = ("harness.plugin",)
