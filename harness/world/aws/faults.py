"""Misbehaviour on demand, scoped so that parallel tests do not meet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from socket import socket
from threading import Condition, Event, Lock
from types import TracebackType
from typing import Literal

from werkzeug.wrappers import Response

from ..wire import Ending, broken_off
from . import errors
from .calls import Call, Predicate
from .errors import AwsError

Moment = Literal["before", "after", "in the body"]
Spoil = Callable[[Response, socket], Response]
"""What becomes of a good answer on the connection that it goes out on."""


class Fault:
    """A fault that is switched on until it was injected as often as asked, or cleared.

    As a context manager it is cleared at the end of the block.
    """

    def __init__(
        self,
        *,
        action: str,
        principal: str,
        resource: str,
        skip: int,
        error: Callable[[Call], AwsError] | None,
        times: int | None,
        delay: float,
        moment: Moment,
        hold: bool,
        only: Predicate | None,
        spoil: Spoil | None,
    ) -> None:
        self.action = action
        self.principal = principal
        self.resource = resource
        self.moment = moment
        self.delay = delay
        self._skip = skip
        self._error = error
        self._only = only
        self._spoil = spoil
        self._left = times
        self._happened: list[datetime] = []
        self._changed = Condition()
        self._released = Event()
        self._abandoned = False
        if not hold:
            self._released.set()

    @property
    def hits(self) -> int:
        """How often it was really injected."""
        return len(self.happened)

    @property
    def happened(self) -> tuple[datetime, ...]:
        """When it was injected."""
        with self._changed:
            return tuple(self._happened)

    @property
    def spent(self) -> bool:
        """Whether it will never be injected again."""
        with self._changed:
            return self._left == 0

    def wait(self, timeout: float, *, hits: int = 1) -> None:
        """Wait until it was injected `hits` times. Raises TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._happened) >= hits, timeout):
                raise TimeoutError(
                    f"the fault on {self.action} was injected {len(self._happened)} of {hits} times "
                    f"within {timeout} s"
                )

    def await_first(self, timeout: float) -> None:
        self.wait(timeout)

    def release(self) -> None:
        """Let the held calls go on, and hold no more."""
        self._released.set()

    def abandon(self) -> None:
        """Hold no more, and let the held calls end without effect: whoever made them is no more."""
        self._abandoned = True
        self._released.set()

    def clear(self) -> None:
        """Inject no more, and let held calls go on. Does nothing the second time."""
        with self._changed:
            self._left = 0
        self.release()

    def __enter__(self) -> Fault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def take(self, call: Call) -> bool:
        """Whether this call gets it; counted if so."""
        if not (
            fnmatchcase(call.action, self.action)
            and fnmatchcase(call.principal, self.principal)
            and (self.resource == "*" or any(fnmatchcase(each, self.resource) for each in call.resources))
            and (self._only is None or self._only(call))
        ):
            return False
        with self._changed:
            if self._left == 0:
                return False
            if self._skip:
                self._skip -= 1
                return False
            if self._left is not None:
                self._left -= 1
            self._happened.append(datetime.now(UTC))
            self._changed.notify_all()
        return True

    def strike(self, call: Call, closing: Event) -> None:
        """Delay, hold, then raise the AwsError, if there is one. Ends early when the endpoint closes."""
        if self.delay:
            closing.wait(self.delay)
        self._released.wait()
        if self._abandoned:
            raise AwsError("ServiceUnavailable", "the caller is gone", 503)
        if self._error:
            raise self._error(call)

    def spoil(self, answer: Response, connection: socket) -> Response:
        return answer if self._spoil is None else self._spoil(answer, connection)


class Faults:
    """The faults of one endpoint. Actions, principals and resources are globs (`fnmatch`, case-sensitive).

    Where they cannot tell, `only` can, asked in the request's own thread.
    """

    def __init__(self) -> None:
        self._faults: tuple[Fault, ...] = ()
        self._lock = Lock()
        self._closing = Event()

    def fail(
        self,
        action: str,
        error: str,
        message: str = "injected by the harness",
        *,
        status: int = 400,
        principal: str = "*",
        resource: str = "*",
        times: int | None = None,
        delay: float = 0.0,
        moment: Moment = "before",
        only: Predicate | None = None,
    ) -> Fault:
        """Answer matching calls with an error, `times` times (None: until cleared), after `delay` seconds.

        `resource` matches any of Call.resources. `moment` "after" lets the call take effect and only then loses
        its answer.
        """
        return self._add(
            lambda _: AwsError(error, message, status),
            action,
            principal,
            resource,
            times,
            delay,
            moment,
            only=only,
        )

    def throttle(
        self,
        action: str,
        *,
        principal: str = "*",
        resource: str = "*",
        times: int | None = None,
        only: Predicate | None = None,
    ) -> Fault:
        """The service's own throttling error."""
        return self._add(
            lambda call: errors.throttled(call.service), action, principal, resource, times, only=only
        )

    def deny(
        self,
        action: str,
        *,
        principal: str = "*",
        resource: str = "*",
        times: int | None = None,
        only: Predicate | None = None,
    ) -> Fault:
        """The service's own denial, as an organisation's policy would cause it."""

        def denial(call: Call) -> AwsError:
            arn = call.caller.arn if call.caller else call.principal
            text = f"User: {arn} is not authorized to perform: {call.action} with an explicit deny"
            return errors.denied(call.service, f"{text} in a service control policy")

        return self._add(denial, action, principal, resource, times, only=only)

    def out_of_capacity(
        self, *, principal: str = "*", only: Predicate | None = None, times: int | None = None
    ) -> Fault:
        """RunInstances: InsufficientInstanceCapacity."""
        return self.fail(
            "ec2:RunInstances",
            "InsufficientInstanceCapacity",
            "We currently do not have sufficient capacity in the Availability Zone you requested.",
            status=500,
            principal=principal,
            times=times,
            only=only,
        )

    def delay(
        self,
        action: str,
        seconds: float,
        *,
        principal: str = "*",
        resource: str = "*",
        times: int | None = None,
        moment: Moment = "before",
    ) -> Fault:
        """Answer as ever, but late: `moment` "after" delays the answer, "before" the effect too."""
        return self._add(None, action, principal, resource, times, seconds, moment)

    def hold(
        self,
        action: str,
        *,
        principal: str = "*",
        resource: str = "*",
        skip: int = 0,
        times: int | None = 1,
        moment: Moment = "before",
        only: Predicate | None = None,
    ) -> Fault:
        """Keep matching calls but the first `skip` waiting until `release`, `abandon` or `clear`.

        `wait` tells when one is held.
        """
        return self._add(
            None, action, principal, resource, times, 0.0, moment, hold=True, only=only, skip=skip
        )

    def alter(
        self,
        action: str,
        change: Callable[[bytes], bytes],
        *,
        principal: str = "*",
        resource: str = "*",
        times: int | None = None,
        only: Predicate | None = None,
    ) -> Fault:
        """Pass on what `change` makes of the body of good answers, with its right length; headers stay."""

        def altered(answer: Response, _: socket) -> Response:
            answer.set_data(change(answer.get_data()))
            return answer

        return self._spoiling(altered, action, principal, resource, times, only)

    def break_off(
        self,
        action: str,
        ending: Ending = "short",
        *,
        principal: str = "*",
        resource: str = "*",
        times: int | None = None,
        only: Predicate | None = None,
    ) -> Fault:
        """Send half of the body of good answers, and no more."""

        def broken(answer: Response, connection: socket) -> Response:
            return broken_off(answer, ending, connection)

        return self._spoiling(broken, action, principal, resource, times, only)

    def inject(self, call: Call, moment: Moment) -> None:
        """For the gateway: let every fault that matches strike. Raises the AwsError of the first that has one."""
        with self._lock:
            faults = self._faults
        for fault in faults:
            if fault.moment == moment and fault.take(call):
                fault.strike(call, self._closing)

    def spoil(self, call: Call, answer: Response, connection: socket) -> Response:
        """For the gateway: let every fault of bodies that matches do its work on an answer that has one."""
        if answer.status_code not in (200, 206) or not answer.get_data():
            return answer
        with self._lock:
            faults = self._faults
        for fault in faults:
            if fault.moment == "in the body" and fault.take(call):
                answer = fault.spoil(answer, connection)
        return answer

    def clear(self) -> None:
        """Clear every fault."""
        with self._lock:
            faults, self._faults = self._faults, ()
        for fault in faults:
            fault.clear()

    def close(self) -> None:
        self._closing.set()
        self.clear()

    def _spoiling(
        self,
        spoil: Spoil,
        action: str,
        principal: str,
        resource: str,
        times: int | None,
        only: Predicate | None,
    ) -> Fault:
        moment: Moment = "in the body"
        return self._add(None, action, principal, resource, times, moment=moment, only=only, spoil=spoil)

    def _add(
        self,
        error: Callable[[Call], AwsError] | None,
        action: str,
        principal: str,
        resource: str,
        times: int | None,
        delay: float = 0.0,
        moment: Moment = "before",
        *,
        hold: bool = False,
        only: Predicate | None = None,
        spoil: Spoil | None = None,
        skip: int = 0,
    ) -> Fault:
        fault = Fault(
            action=action,
            principal=principal,
            resource=resource,
            skip=skip,
            error=error,
            times=times,
            delay=delay,
            moment=moment,
            hold=hold,
            only=only,
            spoil=spoil,
        )
        with self._lock:
            self._faults = (*(each for each in self._faults if not each.spent), fault)
        return fault
