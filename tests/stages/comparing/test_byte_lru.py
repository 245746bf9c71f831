"""What stays of what was read."""

from stages.comparing.byte_lru import ByteLRU


def test_what_was_asked_for_last_stays_and_the_room_is_kept_to() -> None:
    kept: ByteLRU[str] = ByteLRU(10)
    for name in "abc":
        kept.put(name, name.upper(), 4)
        assert kept.get("a") == "A"
    assert [kept.get(name) for name in "abc"] == ["A", None, "C"]
    assert kept.size == 8
    kept.put("a", "another", 4)
    assert (kept.get("a"), kept.size) == ("A", 8)


def test_what_is_larger_than_the_room_is_not_kept_unless_one_is_to_stay() -> None:
    kept: ByteLRU[str] = ByteLRU(10)
    kept.put("a", "A", 4)
    kept.put("large", "L", 11)
    assert (kept.get("a"), kept.get("large"), kept.size) == ("A", None, 4)
    one: ByteLRU[str] = ByteLRU(10, least=1)
    one.put("a", "A", 4)
    one.put("large", "L", 11)
    assert (one.get("a"), one.get("large"), one.size) == (None, "L", 11)
