"""Opens only real containers, and only the file itself."""

import http.server
import threading

import av
import pytest
from media_files import grey, write_media

from vatt_gh.media.form import Form, MediaError
from vatt_gh.media.opening import open_media
from vatt_gh.media.video import read_segments

FORM = Form(fps=10.0, short_side=48, audio_rate=16_000)


@pytest.fixture
def secret(tmp_path):
    return write_media(tmp_path / "secret.mp4", [grey(100)] * 10, [k / 10 for k in range(10)])


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile {}\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        '<?xml version="1.0"?><MPD><Period><BaseURL>{}</BaseURL></Period></MPD>',
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "m3u8", "ts"])
def test_text_that_names_other_files_is_no_container(tmp_path, secret, text, suffix):
    path = tmp_path / f"list.{suffix}"
    path.write_text(text.format(secret))
    with pytest.raises(MediaError, match="cannot be decoded"):
        list(read_segments(path, FORM))


def test_names_that_look_like_addresses_are_names_of_files(tmp_path, secret, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/a.mp4"
        for name in (address, f"concat:{secret}", f"subfile,,start,0,end,0,,:{secret}", "pipe:0"):
            with pytest.raises(MediaError, match="No such file"):
                list(read_segments(name, FORM))
        assert asked == []
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    odd = tmp_path / "concat:a|b.mp4"
    odd.write_bytes(secret.read_bytes())
    (segment,) = read_segments("concat:a|b.mp4", FORM)
    assert segment.count == 10


def test_a_real_container_is_opened_whatever_its_name_is(secret, tmp_path):
    other = secret.rename(tmp_path / "video.bin")
    with open_media(other) as container:
        assert container.format.name.startswith("mov")
        assert next(container.decode(video=0)) is not None
    with pytest.raises((av.FFmpegError, OSError)):
        open_media(tmp_path / "gone.mp4")
