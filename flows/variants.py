"""What a study compares: ways to remove the same object from the same video."""

from dataclasses import dataclass
from typing import Literal

from lib.settings.study import StudyOptions

Words = Literal["none", "caption", "own"]


@dataclass(frozen=True)
class Variant:
    """One way, for all videos of a study."""

    key: str  # of its folder and its columns
    title: str
    description: str
    anchor: bool
    text: bool  # the main network follows the words too
    words: Words  # whose words anchor and network get
    guidance: float | None = None  # weight of the text, if not the prompt file's
    number: float | None = None  # where it stands on a sweep


@dataclass(frozen=True)
class StudyPlan:
    """The variants of a study in the order of its table."""

    variants: tuple[Variant, ...]
    baseline: str  # the key that the others are compared with
    remarks: tuple[str, ...] = ()  # what the reader must know


def phase_of_variant(phase: str, variant: Variant) -> str:
    """What a phase that looks at a variant's results is called in reports and plans."""
    return f"{phase} {variant.key}"


def plan_study(options: StudyOptions, default_guidance: float) -> StudyPlan:
    """The variants as asked for."""
    return {"ablation": _ablation, "guidance": _guidance, "prompts": _prompts}[options.study](options, default_guidance)


def _ablation(options: StudyOptions, _default: float) -> StudyPlan:
    own = options.prompt_yaml is not None
    words: Words = "own" if own else "caption"
    whose = "your own prompts" if own else "the captioner's prompts"
    variants = (
        Variant("baseline", "Baseline", "no anchor, no text", False, False, "none"),
        Variant("anchor", "Anchor only", "an anchor painted without a prompt", True, False, "none"),
        Variant("text", "Text only", f"no anchor; the network follows {whose}", False, True, words),
        Variant("anchor-text", "Anchor + text", f"anchor and network follow {whose}", True, True, words),
        Variant(
            "auto-refine", "Auto-refine", "anchor and network follow the captioner's prompts", True, True, "caption"
        ),
    )
    same = "no --prompt_yaml was given: “Anchor + text” takes the captioner's prompts and is the same as “Auto-refine”"
    return StudyPlan(variants, "baseline", () if own else (same,))


def _guidance(options: StudyOptions, default: float) -> StudyPlan:
    words: Words = "own" if options.prompt_yaml else "caption"
    variants = tuple(
        Variant(
            f"guidance-{scale:g}",
            f"Guidance {scale:g}",
            f"anchor and network follow the prompt, the network with weight {scale:g}",
            anchor=True,
            text=True,
            words=words,
            guidance=scale,
            number=scale,
        )
        for scale in options.guidance_scales
    )
    usual = default if default in options.guidance_scales else options.guidance_scales[0]
    return StudyPlan(variants, f"guidance-{usual:g}")


def _prompts(options: StudyOptions, _default: float) -> StudyPlan:
    empty = Variant("prompt-empty", "Empty prompt", "an anchor without a prompt, no text", True, False, "none")
    caption = Variant("prompt-caption", "Captioner's prompt", "anchor and network follow it", True, True, "caption")
    own = Variant("prompt-own", "Your prompt", "anchor and network follow it", True, True, "own")
    if options.prompt_yaml is None:
        return StudyPlan((empty, caption), empty.key, ("no --prompt_yaml was given: your own prompts are left out",))
    return StudyPlan((empty, caption, own), empty.key)
