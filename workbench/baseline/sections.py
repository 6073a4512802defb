"""What a report says about a baseline beside its runs: the choices, and how rates were found."""

from workbench.baseline.plan import Plan
from workbench.figures.rates import draw_rates, rate_rows
from workbench.reports.page import Note, PageBlock, PageTable, Picture, Section
from workbench.storage.rate_search import RateSearch

CHOICES_NOTE = "Chosen by the amounts of the corpus, unless given; each can be set."


def choice_section(plan: Plan) -> Section:
    """Return the section with all choices, their reasons, and the scales that were tried."""
    rows = []
    for training, choices in (("cross entropy", plan.frame), ("sequence", plan.sequence)):
        for choice in choices:
            rows.append(
                {
                    "training": training,
                    "setting": choice.name,
                    "value": str(choice.value),
                    "reason": choice.reason,
                }
            )

    scales = [
        {
            "acoustic scale": f"{scale.acoustic_scale:g}",
            "prior scale": f"{scale.prior_scale:g}",
            "held-out WER %, unigram": f"{100 * scale.wer:.1f}",
        }
        for scale in plan.scales
    ]
    return Section(
        "What was chosen, and why", [PageTable(rows), Note(CHOICES_NOTE), PageTable(scales)]
    )


def rate_section(search: RateSearch) -> Section:
    """Return the section about one search for a learning rate."""
    caption = f"Learning rate of {search.criterion}"
    blocks: list[PageBlock] = [Note(str(search))]
    if search.trials:
        blocks += [Picture(caption, draw_rates(search), str(search)), PageTable(rate_rows(search))]
    return Section(f"{caption}: what was tried", blocks)
