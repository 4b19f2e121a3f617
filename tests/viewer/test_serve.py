"""The port of the viewer: this machine's own address, and answers that leave at once."""

import asyncio
import socket

import pytest

from wsi_parse.errors import UsageError
from wsi_parse.viewer.gate import HOST
from wsi_parse.viewer.serve import listening_at


def test_small_answers_are_sent_at_once() -> None:
    """Else the second part of each answer waits 40 ms until the browser has confirmed the first."""

    async def delay_is_off() -> bool:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            told.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(answer, sock=listening_at(0)) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            found = await told
            writer.close()
            await writer.wait_closed()
        return bool(found)

    assert asyncio.run(delay_is_off())


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server((HOST, 0)) as taken, pytest.raises(UsageError, match="cannot be used") as caught:
        listening_at(taken.getsockname()[1])
    assert "another port" in caught.value.remedy


def test_only_this_machine_can_reach_it() -> None:
    with listening_at(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
