"""WebSocket clients with the standard library alone.

client.py subscribe PORT PATH COUNT   prints so many frames, closes, prints the code in the answer
client.py unruly PORT                 breaks the rules in every way, prints what each way led to
"""

import base64
import hashlib
import json
import os
import socket
import struct
import sys
import urllib.request

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MORE, TEXT, CLOSE, PING, PONG = 0x0, 0x1, 0x8, 0x9, 0xA


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError("closed early")
        data += more
    return data


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def head_of(path, key=b"dGhlIHNhbXBsZSBub25jZQ=="):
    return (
        b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (path.encode(), key)
    )


def upgrade(port, path):
    connection = connect(port)
    key = base64.b64encode(os.urandom(16))
    connection.sendall(head_of(path, key))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += exactly(connection, 1)
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    assert head.startswith(b"HTTP/1.1 101 ") and accept in head, head
    return connection


def frame(opcode, payload, last=True, masked=True):
    first = (0x80 if last else 0) | opcode
    mask = os.urandom(4) if masked else b""
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack(">BB", first, bit | len(payload))
    else:
        head = struct.pack(">BBH", first, bit | 126, len(payload))
    if masked:
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return head + mask + payload


def send(connection, opcode, payload):
    connection.sendall(frame(opcode, payload))


def receive(connection):
    first, length = exactly(connection, 2)
    if length == 126:
        (length,) = struct.unpack(">H", exactly(connection, 2))
    elif length == 127:
        (length,) = struct.unpack(">Q", exactly(connection, 8))
    return first & 0x0F, exactly(connection, length)


def receive_close(connection):
    opcode, payload = receive(connection)
    while opcode != CLOSE:
        opcode, payload = receive(connection)
    return "%d %s" % (struct.unpack(">H", payload[:2])[0], payload[2:].decode())


def subscribe(port, path, count):
    connection = upgrade(port, path)
    while count > 0:
        opcode, payload = receive(connection)
        if opcode == PING:
            send(connection, PONG, payload)
        elif opcode == TEXT:
            print(payload.decode())
            count -= 1
    send(connection, CLOSE, struct.pack(">H", 1000))
    print("closed", receive_close(connection))


def breach(port, *frames):
    connection = upgrade(port, "/stream/t")
    connection.sendall(b"".join(frames))
    return receive_close(connection)


def post(port, path, body):
    request = urllib.request.Request("http://127.0.0.1:%d%s" % (port, path), json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request, timeout=20))


def never_reads(port):
    """Publishes until the server has given it up, and tells how its connection ended."""
    connection = upgrade(port, "/stream/t?queue_max=10")
    large = {"class": "important", "data": {"x": "x" * 300_000}}
    while post(port, "/stream/t/publish", large)["subscribers"] > 1:
        pass
    try:
        while connection.recv(1 << 20):
            pass
        return "ended"
    except ConnectionResetError:
        return "ended"


def never_upgrades(port):
    connection = connect(port)
    connection.sendall(head_of("/stream/t")[:60])
    return exactly(connection, 12).decode()


def in_fragments(port):
    """What is allowed: commands in parts, with pings between them."""
    post(port, "/queue/q/push", {"item": {"n": 1}})
    connection = upgrade(port, "/queue/q/consume")
    parts = [frame(TEXT, b'{"cre', False), frame(PING, b"?"), frame(MORE, b"dit", False)]
    connection.sendall(b"".join(parts) + frame(MORE, b'":1}'))
    answers = {}
    while len(answers) < 2:
        opcode, payload = receive(connection)
        answers[opcode] = payload
    assert answers[PONG] == b"?", answers
    lease = json.loads(answers[TEXT])["lease"].encode()
    parts = [frame(TEXT, b'{"ack":["' + lease[:9], False), frame(MORE, lease[9:] + b'"]}')]
    connection.sendall(b"".join(parts))
    return receive(connection)[1].decode()


def unruly(port):
    large = b" " * 1_500
    print("garbage", breach(port, b"GET / HTTP/1.1\r\n\r\n"))
    print("not masked", breach(port, frame(TEXT, b"{}", masked=False)))
    print("oversized", breach(port, frame(TEXT, large + large)))
    print("too many fragments", breach(port, frame(TEXT, large, False), frame(MORE, large)))
    print("no text", breach(port, frame(TEXT, b"\xff")))
    print("unexpected", breach(port, frame(TEXT, b"{}")))
    print("no pong", receive_close(upgrade(port, "/stream/t")))
    print("never reads:", never_reads(port))
    print("never upgrades:", never_upgrades(port))
    print("in fragments:", in_fragments(port))


if sys.argv[1] == "subscribe":
    subscribe(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
else:
    unruly(int(sys.argv[2]))
