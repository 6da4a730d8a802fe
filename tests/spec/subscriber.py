"""Subscribes to a stream with the standard library alone: subscriber.py PORT PATH COUNT

Prints so many frames, closes, and prints the code that the server answers with.
"""

import base64
import hashlib
import os
import socket
import struct
import sys

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError("closed early")
        data += more
    return data


def send(connection, opcode, payload):
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    connection.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)


def receive(connection):
    first, length = exactly(connection, 2)
    if length == 126:
        (length,) = struct.unpack(">H", exactly(connection, 2))
    elif length == 127:
        (length,) = struct.unpack(">Q", exactly(connection, 8))
    return first & 0x0F, exactly(connection, length)


def main():
    port, path, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    key = base64.b64encode(os.urandom(16))
    connection.sendall(
        b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (path.encode(), key)
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += exactly(connection, 1)
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    assert head.startswith(b"HTTP/1.1 101 ") and accept in head, head
    while count > 0:
        opcode, payload = receive(connection)
        if opcode == 0x9:
            send(connection, 0xA, payload)
        elif opcode == 0x1:
            print(payload.decode())
            count -= 1
    send(connection, 0x8, struct.pack(">H", 1000))
    opcode, payload = receive(connection)
    while opcode != 0x8:
        opcode, payload = receive(connection)
    print("closed", struct.unpack(">H", payload[:2])[0])


main()
