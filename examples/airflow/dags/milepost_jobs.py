"""One mapped task per milepost job, each with the interval it answers for.

Set MILEPOST_PROJECT to the project's folder. A task that is cleared and run again mails nobody twice: the ledger knows
what was dispatched, so a retry needs no care here.
"""

import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

PROJECT = Path(os.environ.get("MILEPOST_PROJECT", "."))
BINARY = os.environ.get("MILEPOST_BINARY", "milepost")

# What the exit codes mean to a scheduler; every other code is worth a retry.
SKIPPED = 99
NEVER_RETRY = {
    2: "usage, YAML, SQL, template or configuration: mend it first",
    4: "some outcomes are unknown: see `milepost deliveries list --state unknown`",
    5: "a guard or a halt refused: a person decides",
}


@dag(
    schedule="0 7 * * *",
    start_date=datetime(2026, 10, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
)
def milepost_jobs():
    @task(map_index_template="{{ task.op_kwargs['job'] }}")
    def run_job(job: str) -> None:
        context = get_current_context()
        # A run started by hand may have no interval: it answers for the moment it was started for.
        end = context.get("data_interval_end") or context["dag_run"].run_after
        start = context.get("data_interval_start") or end
        command = [BINARY, "run", job, "--project", str(PROJECT), "--log-format", "json"]
        command += ["--empty-exit-code", str(SKIPPED), "--lock-timeout", "10m"]
        command += ["--interval", f"{start.isoformat()}..{end.isoformat()}"]
        code = subprocess.run(command, check=False).returncode
        if code == SKIPPED:
            raise AirflowSkipException(f"{job}: nobody was to be mailed")
        if code in NEVER_RETRY:
            raise AirflowFailException(f"{job}: exit code {code}, {NEVER_RETRY[code]}")
        if code != 0:
            raise AirflowException(f"{job}: exit code {code}; a retry is safe")

    run_job.expand(job=sorted(file.stem for file in (PROJECT / "jobs").glob("*.yml")))


milepost_jobs()
