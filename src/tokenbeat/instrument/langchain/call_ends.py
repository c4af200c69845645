"""Model runs as they end: one door for every end, told or found out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenbeat.attribution.carrying import leave
from tokenbeat.attribution.ending import call_outcome, error_type
from tokenbeat.instrument.langchain.answered import Answer, read_answer

if TYPE_CHECKING:
    from uuid import UUID

    from tokenbeat.instrument.langchain.open_call import Calls, OpenCall, SharedRequest
    from tokenbeat.usage.call import Outcome


class CallEnds:
    """Reports ends to the books.

    Args:
        calls: The open ones, and those that ended lately.
    """

    def __init__(self, *, calls: Calls) -> None:
        self._calls = calls

    def told(
        self,
        run_id: UUID,
        *,
        response: Any,  # noqa: ANN401 LangChain's, of any version
        error: BaseException | None,
    ) -> None:
        """LangChain says that a model run ended, well or with an error."""
        key = run_id.int
        call = self._calls.close(key)
        again = call is None
        if call is None:
            call = self._calls.ended(key)
            if call is None:
                return  # it started before this handler was there
        report = call.report
        if call.told:
            call.read_told(most=self._calls.most)
        answer = read_answer(
            response,
            provider=report.provider,
            request_model=report.request_model,
            raw_heard=call.raw_heard,
            heard=report.heard,
            most=self._calls.most,
        )
        if not again:
            call.open = False
            leave(call)
        elif call.request is not None:
            return  # its request was ended by all of its prompts
        shared = call.request
        if shared is None:
            self._report(call, answer, error=error)
            return
        shared.ends.append((answer, error))
        self._prompt_ended(call, shared)

    def orphaned(self, call: OpenCall, *, outcome: Outcome) -> None:
        """Nobody will tell the end of a call: it is entered with what its chunks told.

        An end that is told later all the same only raises what was entered.
        """
        if self._calls.close(call.key, orphaned=True) is not call:
            return
        call.open = False
        leave(call)
        report = call.report
        if call.told:
            call.read_told(most=self._calls.most)
        shared = call.request
        if shared is None:
            call.ledger.end(report, outcome=outcome, usage=report.heard, partial=True)
        else:
            shared.outcome = outcome
            self._prompt_ended(call, shared)

    def _prompt_ended(self, call: OpenCall, shared: SharedRequest) -> None:
        """One of several prompts ended; the request has ended when all have that started."""
        shared.open -= 1
        if shared.open > shared.missing:
            return
        if not shared.ends:
            outcome = shared.outcome or "abandoned"
            call.ledger.end(
                call.report, outcome=outcome, usage=None, partial=True, items=shared.items
            )
            return
        answer, error = _merged(shared)
        self._report(call, answer, error=error)

    def _report(self, call: OpenCall, answer: Answer, *, error: BaseException | None) -> None:
        report = call.report
        usage, anomalies, malformed = answer.reported
        if call.heard_chunks > 1 and report.heard is not None:
            # LangChain adds the usage of all chunks up, also where each repeats a growing total.
            usage = report.heard
        if answer.finish_reasons:
            report.finish_reasons = answer.finish_reasons
        call.ledger.end(
            report,
            outcome="ok" if error is None else call_outcome(error),
            usage=usage,
            partial=malformed or (error is not None and usage is not None),
            response_model=answer.model,
            response_id=answer.response_id,
            items=1 if call.request is None else call.request.items,
            cached=answer.cached,
            error_type=None if error is None else error_type(error),
            anomalies=anomalies,
        )


def _merged(shared: SharedRequest) -> tuple[Answer, BaseException | None]:
    """One answer of what the prompts of one request were told: usage stands on one of them."""
    answer: Answer = shared.ends[0][0]
    error: BaseException | None = None
    for told, failed in shared.ends:
        error = error or failed
        if answer.reported.usage is None and told.reported.usage is not None:
            answer = told
    return answer, error
