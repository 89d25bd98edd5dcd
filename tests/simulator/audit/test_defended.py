"""What the defences of the plan stop, and what they do not."""


def test_noise_of_a_bounded_size_stops_what_the_adversary_tells_for_a_while(found):
    options = {"adversary": "mlp", "users": 160, "clients": 50, "adversary_clip_norm": 0.1, "adversary_noise": 1.0}
    scores = found(["magnitude", "embedding", "pulls"], (1, 100), **options)
    assert scores["embedding", 1].success == 0.0
    assert scores["magnitude", 1].high < 0.9  # without noise it is 1 at once
    assert scores["magnitude", 100].success > scores["magnitude", 1].success  # but adds up
    assert scores["pulls", 1].success == 1.0  # and items are not its concern


def test_cover_rows_hide_what_was_touched_but_not_for_long_what_is_recorded(found):
    names = ["rows", "rows-recurring", "pulls"]
    bare, covered = (found(names, (1, 20), adversary="mlp", clients=20, cover_rows=rows) for rows in (0.0, 1.0))
    assert covered["rows", 1].success < bare["rows", 1].success
    assert covered["rows-recurring", 20].success < bare["rows-recurring", 20].success - 0.02
    assert covered["pulls", 1].success < 1.0
    assert covered["pulls", 20].success > 0.85


def test_cover_rows_do_nothing_for_fedvae_whose_item_biases_are_dense(found):
    scores = found(["rows", "pulls"], model="fedvae", adversary="mlp", clients=20, cover_rows=2.0)
    assert scores["rows", 1].success < 1.0
    assert scores["pulls", 1].success > 0.99
