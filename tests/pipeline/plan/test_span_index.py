"""The index of spans finds the overlapping spans, as a loop over all spans does."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.span_index import SpanIndex

ENDS = st.tuples(st.text("abc", max_size=3), st.text("abc", max_size=3)).map(lambda ends: (min(ends), max(ends)))


@given(st.lists(ENDS, max_size=30), ENDS)
def test_all_that_overlap_in_the_order_in_which_they_were_given(
    spans: list[tuple[str, str]], asked: tuple[str, str]
) -> None:
    named = [(f"{number:02}", span) for number, span in enumerate(spans)]
    least, most = asked
    expected = [name for name, span in named if span[0] <= most and least <= span[1]]
    assert SpanIndex(named).between(least, most) == expected
