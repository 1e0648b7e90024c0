"""Whether captions can be made: the environment, the model, one rehearsal. The captioner's own checks do it."""

from __future__ import annotations

from collections.abc import Iterator

from deployments.checks.finding import Finding, failures, ok
from deployments.checks.job import Job
from deployments.checks.weights import caption_model
from lib.errors import InputError


def check_captions(job: Job) -> Iterator[Finding]:
    from lib.captioner.backend import CaptionerOptions
    from lib.captioner.environment import CaptionEnv, caption_device, resolve_caption_env
    from lib.captioner.readiness import check_captioner

    backend = "vlm" if job.captions_by_model else "palette"
    options = CaptionerOptions(backend=backend, model_path=caption_model(job) if job.captions_by_model else None)

    def describe(env: CaptionEnv) -> str:
        if backend == "palette":
            return f"palette, which needs no model, in {env.prefix}, Python {env.version}"
        torch, transformers = (env.versions.get(name, "?") for name in ("torch", "transformers"))
        where = caption_device(env, options.device)
        return f"{env.prefix}, Python {env.version}, torch {torch}, transformers {transformers}, on {where}; rehearsed"

    try:
        env = resolve_caption_env(job.caption_env, job.project)
        check_captioner(env, options, job.project)
    except InputError as error:
        yield from failures("captions", error)
    else:
        yield ok("captions", describe(env))
