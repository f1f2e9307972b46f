"""What a dry run tells, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from api_gpu.cli.options import FAILED, Invocation

if TYPE_CHECKING:
    from apigpu.v1 import quote_pb2


def print_quote(invocation: Invocation, quote: quote_pb2.Quote) -> int:
    """Print what a job would do and take; return the exit code, FAILED where something is wrong."""
    invocation.show(quote, _print)
    return 0 if quote.ok else FAILED


def _print(quote: quote_pb2.Quote) -> None:
    for fault in quote.faults:
        print(f"api-gpu: {fault.message}", file=sys.stderr)
    for text in quote.unknown:
        print(f"not known: {text}", file=sys.stderr)
    for result in quote.results:
        for warning in result.warnings:
            print(f"warning: {warning.message}", file=sys.stderr)
        print(_result(result))
    for estimate in quote.estimates:
        print(_estimate(estimate))
    if quote.jobs_ahead:
        print(f"{quote.jobs_ahead} jobs wait before it")


def _result(result: quote_pb2.QuotedResult) -> str:
    name = f"{result.id}: " if result.id else ""
    return f"{name}{result.operation}: " + ", ".join(_facts(result))


def _facts(result: quote_pb2.QuotedResult) -> Iterator[str]:
    if result.width:
        yield f"{result.width}x{result.height}"
    if result.duration:
        yield f"{result.duration:.3f} s"
    if result.frames:
        yield f"{result.frames} frames"
    if result.codec:
        yield f"made by {result.codec}" if result.codec != "copy" else "not encoded again"
    yield f"{result.tasks} task{'s' if result.tasks > 1 else ''}"


def _estimate(estimate: quote_pb2.Estimate) -> str:
    parts = [f"{estimate.encoders} encoder{'s' if estimate.encoders > 1 else ''}"]
    if estimate.HasField("seconds"):
        parts.append(f"{estimate.seconds.low:.1f} to {estimate.seconds.high:.1f} s")
    if estimate.HasField("usd"):
        parts.append(f"{estimate.usd.low:.4f} to {estimate.usd.high:.4f} dollars")
    return f"{', '.join(parts)} ({estimate.basis})"
