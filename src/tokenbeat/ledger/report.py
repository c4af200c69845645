"""What one source says about one piece of work, from its start to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenbeat.ledger.records import Entry
    from tokenbeat.usage.call import Outcome
    from tokenbeat.usage.caller import Caller
    from tokenbeat.usage.counts import Counts
    from tokenbeat.usage.tokens import TokenUsage


class RunRef:
    """A run as the ledger knows it while it is in memory.

    Attributes:
        run_id: The run's id as the framework or the user gave it.
        part: The ordinal of the record that opened this part of the run.
        key: Both.
        thread_id: The conversation, or None.
        opened: How often it was opened and not yet closed: a run id used twice at once is one run.
        evicted: It is no longer in memory; late usage opens a new part.
    """

    __slots__ = ("evicted", "key", "opened", "part", "root_agent", "run_id", "thread_id")

    def __init__(
        self, run_id: str, *, part: int, thread_id: str | None, root_agent: str | None
    ) -> None:
        self.run_id = run_id
        self.part = part
        self.key = (run_id, part)
        self.thread_id = thread_id
        self.root_agent = root_agent
        self.opened = 1
        self.evicted = False

    def __repr__(self) -> str:
        return f"RunRef({self.run_id!r}, part={self.part}, opened={self.opened})"


class CallToken:
    """Names the set of reports of one framework call, for reports of other sources inside it.

    ``generate([[a], [b]])`` opens two reports before either request is made; both see this one
    token. It is put into the context when the framework call starts and is ignored once all of its
    members have ended, because a copied context outlives its call.

    Attributes:
        members: The framework's reports, in the order of their start.
        children: Reports of other sources that started inside, in the order of their start.
    """

    __slots__ = ("children", "members", "settled")

    def __init__(self) -> None:
        self.members: list[Report] = []
        self.children: list[Report] = []
        self.settled = False

    @property
    def live(self) -> bool:
        """Whether any call that it names is still open."""
        return any(member.open for member in self.members)


class Report:
    """One source's account of a call. Sources fill it, the ledger decides, observers read.

    A report is a *leaf*, and then a call, unless a report of the same operation starts inside it:
    then it is an *envelope* for ever and only lends caller, run and what its children lack.

    Attributes:
        id: Unique in its incarnation.
        source: Who reports: ``langchain``, ``openai``, …
        operation: ``chat``, ``text_completion``, ``embeddings`` or ``generate_content``.
        provider: ``gen_ai.provider.name``.
        request_model: The model asked for, or None.
        response_model: The model that answered, or None.
        response_id: The provider's id of the response, or None.
        caller: Who called, frozen at the start.
        agent: ``gen_ai.agent.name``, or None.
        run: The run it belongs to, or None.
        inside: Its envelope, once there is one.
        is_envelope: Whether a report of the same operation started inside it.
        open: Not ended yet.
        started_ns: Wall time of the start, ns since 1970.
        ended_ns: Wall time of the end, or None.
        started_mono_ns: Monotonic time of the start.
        ended_mono_ns: Monotonic time of the end, or None.
        outcome: How it ended, or None.
        usage: What was reported at the end, or None.
        partial: Whether the usage is known to be incomplete.
        cached: Whether a local response cache answered: nothing was billed.
        items: Prompts or inputs inside the one request.
        error_type: The error's type name; never its text.
        entered: Whether it is in a cell.
        heard: Usage that chunks told so far; used where no better comes. Set by the source.
        stream: Whether it streams. Set by the source.
        first_chunk_ns: Monotonic time of the first chunk. Set by the source.
        last_chunk_ns: Monotonic time of the latest chunk. Set by the source.
        chunks: Chunks so far. Set by the source.
        server_address: The host alone, or None. Set by the source.
        server_port: Its port, or None. Set by the source.
        finish_reasons: As the provider names them. Set by the source.
        request_params: Span attributes of the request, by name. Set by the source.
        conversation_id: The thread, or None. Set by the source.
        scope: The attribution scope it was made in; opaque here.
        span: The observers' own; opaque here.
    """

    # Defaults stand on the class: most calls never change most of them, and forty assignments
    # would cost more than everything else that starting a call does here.
    open: bool = True
    response_model: str | None = None
    response_id: str | None = None
    inside: Report | None = None
    children: tuple[Report, ...] = ()
    is_envelope: bool = False
    settled: bool = False
    held: bool = False
    member_of: CallToken | None = None
    token: CallToken | None = None
    ended_ns: int | None = None
    ended_mono_ns: int | None = None
    outcome: Outcome | None = None
    usage: TokenUsage | None = None
    partial: bool = False
    cached: bool = False
    items: int = 1
    error_type: str | None = None
    entry: Entry | None = None
    counts: Counts | None = None
    joined: Report | None = None
    entered: bool = False
    heard: TokenUsage | None = None
    stream: bool = False
    first_chunk_ns: int | None = None
    last_chunk_ns: int | None = None
    chunks: int = 0
    server_address: str | None = None
    server_port: int | None = None
    finish_reasons: tuple[str, ...] = ()
    request_params: dict[str, object] | None = None
    conversation_id: str | None = None
    scope: object | None = None
    span: object | None = None

    def __init__(  # noqa: PLR0913 a call has that many facts at its start
        self,
        report_id: int,
        *,
        source: str,
        operation: str,
        provider: str,
        request_model: str | None,
        caller: Caller,
        agent: str | None,
        run: RunRef | None,
        started_ns: int,
        started_mono_ns: int,
    ) -> None:
        self.id = report_id
        self.source = source
        self.operation = operation
        self.provider = provider
        self.request_model = request_model
        self.caller = caller
        self.agent = agent
        self.run = run
        self.started_ns = started_ns
        self.started_mono_ns = started_mono_ns

    @property
    def failed_attempt(self) -> bool:
        """Whether it ended in an error without usage: an attempt, and no call."""
        if self.outcome != "error":
            return False
        return self.usage is None or not self.usage.known

    def __repr__(self) -> str:
        state = "open" if self.open else self.outcome
        return f"Report({self.id}, {self.source} {self.operation} {self.request_model}, {state})"
