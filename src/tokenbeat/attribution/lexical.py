"""A stretch of the user's own code as a scope: ``with``, and as a decorator of any function."""

# ruff: noqa: ANN401 functions of the user, of any signature

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from tokenbeat.attribution.carrying import enter, leave
from tokenbeat.guard import contained

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from types import TracebackType

    from tokenbeat.attribution.scope import Scope

P = ParamSpec("P")
R = TypeVar("R")

_ENTERING = contained("attribution.enter")
_LEAVING = contained("attribution.leave")


class LexicalScope:
    """What `caller` and `run` return. Used again, it opens a new scope each time.

    As a decorator it takes functions, coroutine functions, generator functions and asynchronous
    generator functions. Of a generator it covers the generator's own code, not what its consumer
    does between two items.
    """

    def __init__(self) -> None:
        self._entered: list[Scope | None] = []

    def opened(self) -> Scope:
        """Opens the scope; it is entered separately."""
        raise NotImplementedError

    def closed(self, scope: Scope, error: BaseException | None) -> None:
        """Closes a scope that `opened` gave, with the error that ended it."""
        raise NotImplementedError

    def __enter__(self) -> None:
        scope = None
        with _ENTERING:
            scope = self.opened()
            enter(scope)
        self._entered.append(scope)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        scope = self._entered.pop()
        if scope is not None:
            with _LEAVING:
                self.closed(scope, error)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorates a function of any kind: each call of it is a scope of its own."""
        plain = cast("Callable[..., Any]", function)
        if inspect.isasyncgenfunction(function):
            wrapper: Callable[..., Any] = _async_generator(self, plain)
        elif inspect.isgeneratorfunction(function):
            wrapper = _generator(self, plain)
        elif inspect.iscoroutinefunction(function):
            wrapper = _coroutine(self, plain)
        else:
            wrapper = _function(self, plain)
        return cast("Callable[P, R]", functools.wraps(function)(wrapper))

    def again(self) -> LexicalScope:
        """The same for one more use: calls of one function can be open beside each other."""
        raise NotImplementedError


def _function(scoped: LexicalScope, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with scoped.again():
            return function(*args, **kwargs)

    return wrapper


def _coroutine(scoped: LexicalScope, function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with scoped.again():
            return await function(*args, **kwargs)

    return wrapper


class _Steps:
    """The scope of a generator: current while its code runs, not while its consumer's does."""

    def __init__(self, scoped: LexicalScope) -> None:
        self._scoped = scoped
        self._scope: Scope | None = None
        with _ENTERING:
            self._scope = scoped.opened()

    def __enter__(self) -> None:
        if self._scope is not None:
            with _ENTERING:
                enter(self._scope)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._scope is not None:
            with _LEAVING:
                leave(self._scope)

    def close(self, error: BaseException | None) -> None:
        """The generator is over."""
        if self._scope is not None:
            with _LEAVING:
                self._scoped.closed(self._scope, error)


def _generator(scoped: LexicalScope, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = _Steps(scoped)
        ended_by: BaseException | None = None
        try:
            with steps:
                inner: Generator[Any, Any, Any] = function(*args, **kwargs)
                item = next(inner)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:  # noqa: PERF203 the loop is the generator
                    with steps:
                        inner.close()
                    raise
                except BaseException as error:  # noqa: BLE001 the generator is to handle it
                    with steps:
                        item = inner.throw(error)
                else:
                    with steps:
                        item = inner.send(sent)
        except StopIteration as stop:
            return stop.value
        except BaseException as error:
            ended_by = error
            raise
        finally:
            steps.close(ended_by)

    return wrapper


def _async_generator(scoped: LexicalScope, function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        steps = _Steps(scoped)
        ended_by: BaseException | None = None
        try:
            with steps:
                inner: AsyncGenerator[Any, Any] = function(*args, **kwargs)
                item = await anext(inner)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:  # noqa: PERF203 the loop is the generator
                    with steps:
                        await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 the generator is to handle it
                    with steps:
                        item = await inner.athrow(error)
                else:
                    with steps:
                        item = await inner.asend(sent)
        except StopAsyncIteration:
            return
        except BaseException as error:
            ended_by = error
            raise
        finally:
            steps.close(ended_by)

    return wrapper
