"""Twenty conversations with one agent at once: equal at every door, and for each of them."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage

from tests.road.crowd import crowd_agent
from tests.road.doors import billed, differences, of_rows, usage_of
from tests.road.playing import PROVIDER_ERRORS
from tokenbeat.testing import Answer, Failure, ModelServer, Rule

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from langchain_core.runnables import RunnableConfig

    from tests.road.stand import Stand
    from tokenbeat.control_plane.live.background import RunningPlane

RUNS = 20


def test_every_door_and_every_run_tells_the_bill_of_twenty_parallel_runs(
    plane: RunningPlane, new_stand: Callable[[], AbstractContextManager[Stand]]
) -> None:
    runs = {f"run-{number}-": uuid.uuid4() for number in range(RUNS)}
    with ModelServer() as server, new_stand() as stand:
        # Two of them fail on the way: what they spent until then counts all the same.
        for name, fails in (("run-3-", Failure()), ("run-14-", Failure(after_chunks=1))):
            marked = f"[bill:{name}#lead_agent]"
            server.add(Rule(system_contains=marked, turn=1, answers=(Answer(fail=fails),)))
        agent = crowd_agent(server)

        def config(name: str) -> RunnableConfig:
            return {"run_id": runs[name], "configurable": {"thread_id": name}}

        def asked(name: str) -> Any:
            return {"messages": [HumanMessage(name)]}

        def converse(name: str) -> bool:
            try:
                for _ in agent.stream(asked(name), config(name)):
                    pass
            except PROVIDER_ERRORS:
                return False
            return True

        async def converse_in_one_loop(names: list[str]) -> list[Any]:
            calls = [agent.ainvoke(asked(name), config(name)) for name in names]
            return await asyncio.gather(*calls, return_exceptions=True)

        names = list(runs)
        with ThreadPoolExecutor(RUNS // 2 + 1) as pool:
            awaited = pool.submit(asyncio.run, converse_in_one_loop(names[: RUNS // 2]))
            streamed = list(pool.map(converse, names[RUNS // 2 :]))
            failed = [isinstance(one, PROVIDER_ERRORS) for one in awaited.result()]
        assert (streamed.count(False), failed.count(True)) == (1, 1)

        assert server.bill.wait_until_settled()
        stand.deliver()
        bill = billed(server.bill)
        assert differences(bill, stand.at_all_doors(plane.address)) == []
        rows = usage_of(plane.address, stand.service, by="run,responseModel,caller")["rows"]
        told = {
            name: of_rows(row for row in rows if row["run"] == str(run_id))
            for name, run_id in runs.items()
        }
        for name in runs:
            assert differences(billed(server.bill, of_run=name), {name: told[name]}) == []
        assert sum(one.total_tokens for one in told.values()) == bill.total_tokens > 0
        assert {row["run"] for row in rows} == {str(run_id) for run_id in runs.values()}
        statuses = [run.status for run in stand.ledger.snapshot().runs]
        assert (statuses.count("success"), statuses.count("error")) == (RUNS - 2, 2)
