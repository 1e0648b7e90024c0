"""What happens when flows/inbox.py is called: like flows/launch.py, but what is to be done is found in the flow."""

from collections.abc import Sequence

from deployments import CAPTION_POOL
from flows.batch import Batch
from flows.command_line import RunOptions, complain, parse
from flows.launch import EXIT_OK, Program, check_output_dir, run_flow
from lib.errors import InputError
from lib.inbox.ledger import Ledger
from lib.inbox.scan import scan_inbox
from lib.runtime.launcher import api_configured, is_flow_process, run_embedded
from lib.settings.inbox import InboxSettings
from lib.video.datasets import inbox_folders

INBOX = Program("inbox", InboxSettings, lambda settings: Batch(settings).check(), (CAPTION_POOL,))


def main(argv: Sequence[str]) -> int:
    """Exit code: 0 all well, 1 a video failed, 2 bad usage or input, 3 no server, 130 Ctrl-C, 143 SIGTERM."""
    words = list(argv)
    try:
        settings, options = parse(words, InboxSettings)
        return _act(settings, options, words)
    except InputError as error:
        return complain(error)


def _act(settings: InboxSettings, options: RunOptions, words: list[str]) -> int:
    if options.plan:
        print(plan_text_of(settings))
        return EXIT_OK
    if is_flow_process():
        return run_flow(INBOX, settings)
    inbox_folders(settings.inbox.inbox)
    if not settings.execution.shards:  # else the boxes that do the work check what they need
        INBOX.check(settings.run_settings())
    if api_configured():
        return run_flow(INBOX, settings)
    check_output_dir(settings.output_dir)
    state_dir, script = settings.output_dir / ".prefect", [str(INBOX.script), *words]
    return run_embedded(
        state_dir,
        script,
        pools=INBOX.pools,
        keep_ui=options.keep_ui,
        early_flow=True,
        allowed_hosts=options.allowed_hosts,
    )


def plan_text_of(settings: InboxSettings) -> str:
    """What the next night would take and leave, and what it would do; nothing is waited for or started."""
    from flows.plan import make_plan, plan_text

    scan = scan_inbox(settings.inbox, Ledger(settings.output_dir), wait=False)
    lines = [f"{item.name}  taken: {item.why}" for item in scan.ready]
    lines += [f"{item.name}  left: {item.kind}: {item.reason}" for item in scan.left]
    if not scan.ready:
        return "\n".join([*lines, f"nothing new: {scan.text()}"])
    return "\n".join([*lines, plan_text(make_plan(settings.run_settings([item.name for item in scan.ready])))])
