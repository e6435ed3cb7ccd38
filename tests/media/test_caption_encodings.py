# ruff: noqa: E501, RUF001
"""Captions in undeclared encodings of many languages."""

import re

import pytest

from vatt_gh.media.captions import CaptionFileError, read_captions

SAID = {
    "gbk": [
        "先把面粉倒进碗里。",
        "现在加水，慢慢搅拌。\n然后放进烤箱里烤三十分钟。",
        "大家好，今天我们来做一道红烧肉。首先把五花肉切成小块，用开水焯一下，然后放入锅中翻炒。加入酱油和糖，小火炖一个小时。",
    ],
    "big5": [
        "先把麵粉倒進碗裡。",
        "大家好，今天我們來做一道紅燒肉。首先把五花肉切成小塊，用開水焯一下，然後放入鍋中翻炒。加入醬油和糖，小火燉一個小時。",
    ],
    "shift_jis": [
        "小麦粉を入れます。",
        "まず小麦粉をボウルに入れます。\n次に水を加えて混ぜます。",
        "みなさんこんにちは。今日はカレーライスを作ります。まず、野菜を切ってください。それから、肉を炒めて、水を入れて煮込みます。",
    ],
    "euc_jp": [
        "まず小麦粉をボウルに入れます。\n次に水を加えて混ぜます。",
    ],
    "cp949": [
        "먼저 밀가루를 그릇에 넣으세요.",
        "안녕하세요. 오늘은 김치찌개를 만들어 보겠습니다. 먼저 돼지고기를 썰어 주세요. 그리고 김치를 볶습니다.",
    ],
    "cp1251": [
        "Насыпаем муку в миску.",
        "Теперь добавим воду\nи хорошо перемешаем.",
        "Всем привет! Сегодня мы будем готовить борщ. Сначала нарежем свёклу, морковь и капусту. Потом положим всё в кастрюлю и будем варить один час.",
    ],
    "koi8_r": [
        "Теперь добавим воду\nи хорошо перемешаем.",
        "Всем привет! Сегодня мы будем готовить борщ. Сначала нарежем свёклу, морковь и капусту.",
    ],
    "cp1250": [
        "Nejprve dáme mouku do mísy. Příliš žluťoučký kůň.",
        "Teraz dodajemy wodę i dokładnie mieszamy. Następnie wkładamy do piekarnika na trzydzieści minut, żeby się upiekło.",
    ],
    "cp1253": [
        "Βάζουμε το αλεύρι στο μπολ και προσθέτουμε νερό.",
    ],
    "cp1254": [
        "Şimdi unu kaseye koyun ve suyu ekleyin. Güzelce karıştırın, ardından fırına verin.",
    ],
    "cp1255": [
        "עכשיו נוסיף את המים ונערבב היטב.",
    ],
    "cp1256": [
        "الآن نضيف الماء ونخلط جيدا.",
    ],
    "cp1252": [
        "Naïve café “quoted”",
        "Jetzt geben wir das Mehl in die Schüssel und rühren kräftig um. Schön!",
        "Maintenant on ajoute de l'eau, c'est très facile à faire à la maison.",
    ],
}
SRT = "1\n00:00:01,000 --> 00:00:02,500\n{}\n"


def read(tmp_path, said, encoding):
    """A file's captions, None if it is left out; and the expected ones."""
    path = tmp_path / "v.srt"
    path.write_bytes(SRT.format(said).encode(encoding))
    expected = " ".join(said.split())
    try:
        ((caption,), _) = read_captions(path)
    except CaptionFileError as error:
        assert error.reason == "is in an unknown encoding: convert it to UTF-8"
        return None, expected
    return caption.text, expected


@pytest.mark.parametrize(
    ("encoding", "said"), [(name, text) for name, texts in SAID.items() for text in texts]
)
def test_a_sentence_is_read_in_its_encoding(tmp_path, encoding, said):
    text, expected = read(tmp_path, said, encoding)
    assert text == expected


def test_a_few_words_are_read_or_left_out_and_hardly_ever_wrong(tmp_path):
    right = wrong = count = 0
    for encoding, texts in SAID.items():
        for text in texts:
            words = re.split(r"(?<=[\u3002\u3001.,!\s])", text)
            for first in range(len(words)):
                for last in range(first + 1, len(words) + 1, 3):
                    some = "".join(words[first:last]).strip()
                    if len(some) >= 8:
                        found, expected = read(tmp_path, some, encoding)
                        count += 1
                        right += found == expected
                        wrong += found not in (expected, None)
    assert count > 400
    assert wrong < 0.02 * count
    assert right > 0.95 * count


@pytest.mark.parametrize(
    "data",
    [
        b"1\n00:00:01,000 --> 00:00:02,500\n" + bytes(range(0x80, 0xA0)) + b"\n",
        SRT.format("P\u0159\u00edli\u0161 \u017elu\u0165ou\u010dk\u00fd k\u016f\u0148").encode(
            "cp1250"
        ),
    ],
)
def test_what_makes_no_words_in_any_encoding_is_left_out(tmp_path, data):
    path = tmp_path / "v.srt"
    path.write_bytes(data)
    with pytest.raises(CaptionFileError, match="is in an unknown encoding: convert it to UTF-8"):
        read_captions(path)


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
)
def test_a_byte_order_mark_decides(tmp_path, encoding):
    path = tmp_path / "a.srt"
    said = "Naïve café, 先把面粉倒进碗里"
    text = f"1\n00:00:01,000 --> 00:00:02,500\n{said}\n"
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    path.write_bytes((mark + text).encode(encoding))
    ((caption,), _) = read_captions(path)
    assert (caption.text, caption.start, caption.end) == (said, 1.0, 2.5)
