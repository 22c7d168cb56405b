"""Misbehaviour on demand, scoped so that parallel tests do not meet."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from threading import Condition, Event, Lock
from types import TracebackType
from typing import Literal

from . import errors
from .calls import Call
from .errors import AwsError

Moment = Literal["before", "after"]


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
        error: Callable[[Call], AwsError] | None,
        times: int | None,
        delay: float,
        moment: Moment,
        hold: bool,
    ) -> None:
        self.action = action
        self.principal = principal
        self.resource = resource
        self.moment = moment
        self.delay = delay
        self._error = error
        self._left = times
        self._hits = 0
        self._changed = Condition()
        self._released = Event()
        if not hold:
            self._released.set()

    @property
    def hits(self) -> int:
        """How often it was really injected."""
        with self._changed:
            return self._hits

    @property
    def spent(self) -> bool:
        """Whether it will never be injected again."""
        with self._changed:
            return self._left == 0

    def wait(self, timeout: float, *, hits: int = 1) -> None:
        """Wait until it was injected `hits` times. Raises TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._hits >= hits, timeout):
                raise TimeoutError(
                    f"the fault on {self.action} was injected {self._hits} of {hits} times within {timeout} s"
                )

    def release(self) -> None:
        """Let the held calls go on, and hold no more."""
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
        ):
            return False
        with self._changed:
            if self._left == 0:
                return False
            if self._left is not None:
                self._left -= 1
            self._hits += 1
            self._changed.notify_all()
        return True

    def strike(self, call: Call, closing: Event) -> None:
        """Delay, hold, then raise the AwsError, if there is one. Ends early when the endpoint closes."""
        if self.delay:
            closing.wait(self.delay)
        self._released.wait()
        if self._error:
            raise self._error(call)


class Faults:
    """The faults of one endpoint. Actions, principals and resources are globs (`fnmatch`, case-sensitive)."""

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
    ) -> Fault:
        """Answer matching calls with an error, `times` times (None: until cleared), after `delay` seconds.

        `resource` matches any of Call.resources. `moment` "after" lets the call take effect and only then loses
        its answer.
        """
        return self._add(
            lambda _: AwsError(error, message, status), action, principal, resource, times, delay, moment
        )

    def throttle(
        self, action: str, *, principal: str = "*", resource: str = "*", times: int | None = None
    ) -> Fault:
        """The service's own throttling error."""
        return self._add(lambda call: errors.throttled(call.service), action, principal, resource, times)

    def deny(
        self, action: str, *, principal: str = "*", resource: str = "*", times: int | None = None
    ) -> Fault:
        """The service's own denial, as an organisation's policy would cause it."""

        def denial(call: Call) -> AwsError:
            arn = call.caller.arn if call.caller else call.principal
            text = f"User: {arn} is not authorized to perform: {call.action} with an explicit deny"
            return errors.denied(call.service, f"{text} in a service control policy")

        return self._add(denial, action, principal, resource, times)

    def out_of_capacity(self, *, principal: str = "*", times: int | None = None) -> Fault:
        """RunInstances: InsufficientInstanceCapacity."""
        return self.fail(
            "ec2:RunInstances",
            "InsufficientInstanceCapacity",
            "We currently do not have sufficient capacity in the Availability Zone you requested.",
            status=500,
            principal=principal,
            times=times,
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
        times: int | None = 1,
        moment: Moment = "before",
    ) -> Fault:
        """Keep matching calls waiting until `release` or `clear`; `wait` tells when one is held."""
        return self._add(None, action, principal, resource, times, 0.0, moment, hold=True)

    def inject(self, call: Call, moment: Moment) -> None:
        """For the gateway: let every fault that matches strike. Raises the AwsError of the first that has one."""
        with self._lock:
            faults = self._faults
        for fault in faults:
            if fault.moment == moment and fault.take(call):
                fault.strike(call, self._closing)

    def clear(self) -> None:
        """Clear every fault."""
        with self._lock:
            faults, self._faults = self._faults, ()
        for fault in faults:
            fault.clear()

    def close(self) -> None:
        self._closing.set()
        self.clear()

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
    ) -> Fault:
        fault = Fault(
            action=action,
            principal=principal,
            resource=resource,
            error=error,
            times=times,
            delay=delay,
            moment=moment,
            hold=hold,
        )
        with self._lock:
            self._faults = (*(each for each in self._faults if not each.spent), fault)
        return fault
