"""What gRPC's core writes by itself: it comes into the log seldom, without addresses, and nothing else is lost."""

import subprocess
import sys

HEAD = """
import logging, os, sys
logging.basicConfig(stream=sys.stderr, level="INFO", format="%(levelname)s %(message)s")
from fedau2 import core_lines
LINE = b"E0000 00:00:1796000000.1 77 ssl_transport_security.cc:1884] "
TEXT = b"Handshake with ipv4:192.0.2.7:5 failed: SSL_ERROR_SSL: error:1000007d:SSL: CERTIFICATE_VERIFY_FAILED: no"
"""


def said(body):
    """The lines on standard error of a program."""
    done = subprocess.run([sys.executable, "-c", HEAD + body], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr.splitlines()


def test_lines_of_the_core_are_in_the_log_once_a_minute_without_addresses():
    code, lines = said("""
with core_lines.captured():
    for _ in range(300):
        os.write(2, LINE + TEXT + b"\\n")
    os.write(2, LINE + b"another kind\\n")
""")
    assert code == 0
    assert set(lines) == {
        "INFO gRPC: ssl_transport_security.cc:1884 SSL_ERROR_SSL CERTIFICATE_VERIFY_FAILED",
        "INFO gRPC: ssl_transport_security.cc:1884",
    }
    assert len(lines) == 2


def test_all_else_stays_as_it_is_and_the_end_gives_standard_error_back():
    code, lines = said("""
with core_lines.captured():
    os.write(2, b"a crash without an end of line")
    logging.info("a line of the log")
    print("printed", file=sys.stderr)
os.write(2, LINE + b"after\\n")
logging.info("the log after")
print("printed after", file=sys.stderr)
""")
    assert code == 0
    assert sorted(lines) == sorted(
        [
            "a crash without an end of line",
            "INFO a line of the log",
            "printed",
            "E0000 00:00:1796000000.1 77 ssl_transport_security.cc:1884] after",
            "INFO the log after",
            "printed after",
        ]
    )


def test_a_process_that_aborts_says_where():
    code, lines = said("with core_lines.captured():\n    os.abort()")
    assert code < 0
    assert any("Fatal Python error: Aborted" in line for line in lines)


def test_the_log_goes_on_when_nobody_reads_standard_error_any_more():
    body = (
        HEAD
        + """
reading, writing = os.pipe()
os.dup2(writing, 2)
os.close(writing)
os.close(reading)
logging.getLogger().handlers[:] = [logging.StreamHandler(sys.stdout)]
with core_lines.captured():
    os.write(2, b"a line that nobody can read\\n")
    os.write(2, LINE + TEXT + b"\\n")
"""
    )
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, timeout=60)
    assert "gRPC: ssl_transport_security.cc:1884" in done.stdout
