"""HTML from Jinja2 templates, which escape every value that is not markup made here."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(package: str, template: str, **values: object) -> Markup:
    """Return the template ``templates/<template>`` of ``package`` filled with ``values``.

    The result is markup, so that another template inserts it as it is.
    """
    return Markup(_environment(package).get_template(template).render(**values))


@cache
def _environment(package: str) -> Environment:
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
