"""The measurements of a checkout, on small checkouts whose measures are known."""

import textwrap

import pytest

from scripts.house import defaults, imports, names
from scripts.house.__main__ import main
from scripts.house.modules import modules


@pytest.fixture
def checkout(tmp_path):
    def write(files):
        for name, source in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(textwrap.dedent(source))
        return tmp_path

    return write


def only_function(checkout, source):
    (module,) = modules(checkout({"export/module.py": source}))
    return names.names_of(next(names.functions(module)))


def test_modules_have_the_names_that_they_are_imported_by(checkout):
    root = checkout(
        {
            "client_sdk/__init__.py": "",
            "client_sdk/store/blobs.py": "",
            "proto/fedau2/wire/fixed.py": "",
            "proto/fedau2/v1/task_pb2.py": "",
            "tests/client_sdk/test_blobs.py": "",
        }
    )
    assert [(module.room, module.name) for module in modules(root)] == [
        ("client_sdk", "client_sdk"),
        ("client_sdk", "client_sdk.store.blobs"),
        ("proto", "fedau2.wire.fixed"),
    ]


def test_arrows_lead_to_the_module_that_is_imported(checkout):
    root = checkout(
        {
            "export/__init__.py": "",
            "export/a.py": """
                import export.b
                from export import c
                from export.d import name
                from typing import TYPE_CHECKING
                if TYPE_CHECKING:
                    from export import e
                def f():
                    from export.f import name
            """,
            **dict.fromkeys(("export/b.py", "export/c.py", "export/d.py", "export/e.py", "export/f.py"), ""),
        }
    )
    arrows = imports.between_modules([*modules(root)])
    assert arrows["export.a"] == {"export.b", "export.c", "export.d", "export.f"}
    assert not any(arrows[name] for name in arrows if name != "export.a")


def test_the_shape_of_a_graph_counts_floors_and_finds_circles():
    arrows = {"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set(), "e": {"d"}}
    assert imports.shape(arrows) == imports.Shape(5, 5, 3, (("b", "c"),))
    assert imports.shape({"a": frozenset(), "b": frozenset("a")}).circles == ()


def test_arrows_between_rooms_leave_out_those_within_a_room():
    arrows = {"x.a.one": {"x.a.two", "x.b.three"}, "x.a.two": {"x"}, "x.b.three": set(), "x": {"x.b.three"}}
    assert imports.between_rooms(arrows, 2) == {"x.a": {"x.b", "x"}, "x.b": set(), "x": {"x.b"}}


@pytest.mark.parametrize(
    "body",
    [
        "def f(each): pass",
        "def f(*, each=1): pass",
        "def f(*each): pass",
        "def f():\n    each = 1",
        "def f():\n    a, *each = 1, 2",
        "def f():\n    for each in (): pass",
        "def f():\n    return [0 for each in ()]",
        "def f():\n    with open('x') as each: pass",
        "def f():\n    if (each := 1): pass",
        "def f():\n    try: pass\n    except E as each: pass",
        "def f():\n    match 1:\n        case each: pass",
        "def f():\n    return lambda each: 0",
    ],
)
def test_every_way_to_bind_a_name_counts(checkout, body):
    assert "each" in only_function(checkout, body)


@pytest.mark.parametrize(
    "body",
    ["def f(a):\n    a.each = each", "def f():\n    def g(each): pass", "def f():\n    class A:\n        each = 1"],
)
def test_attributes_reads_and_inner_functions_do_not_count(checkout, body):
    assert "each" not in only_function(checkout, body)


def test_public_names_need_a_docstring(checkout):
    source = '''
        """A module."""
        from typing import override
        class A:
            def method(self): pass
            def _private(self): pass
            @override
            def shared(self): pass
            @property
            def documented(self):
                """A value."""
        def _f(): pass
    '''
    (module,) = modules(checkout({"export/module.py": source}))
    assert [*names.undocumented(module)] == ["export.module.A", "export.module.A.method"]
    (module,) = modules(checkout({"export/module.py": ""}))
    assert [*names.undocumented(module)] == ["export.module"]


def test_a_default_is_found_in_every_form(checkout):
    source = """
        epsilon = 1.0
        class A:
            chunk: int = 2
        def f(variance=3, *, negatives=4, dropout=0.0, **rest): pass
        f(kl_cap=5, epsilon=None, chunk=True)
        TABLE = {"l1_weight": 6, "other": 7, "server.learning_rate": Default(8, "paper")}
    """
    (module,) = modules(checkout({"export/module.py": source}))
    assert sorted((name, value) for name, _, value in defaults.in_module(module)) == [
        *(
            ("chunk", "2"),
            ("epsilon", "1.0"),
            ("kl_cap", "5"),
            ("l1_weight", "6"),
            ("learning_rate", "8"),
            ("negatives", "4"),
            ("variance", "3"),
        )
    ]


def test_a_default_is_found_in_yaml(checkout):
    plan = """\
        chunk: 128 # or chunk: 5
        adversaries:
          - epsilon: 400
        shared: { kind: adam, learning_rate: 0.1, epsilon: 1e-8 }
    """
    path = checkout({"examples/plan.yaml": plan}) / "examples/plan.yaml"
    assert [*defaults.in_yaml(path)] == [("chunk", 1, "128"), ("epsilon", 3, "400"), ("learning_rate", 4, "0.1")]


def test_the_report_has_the_measures_of_a_checkout(checkout, capsys):
    root = checkout(
        {
            "README.md": "The reason is told.\n",
            "docs/page.md": "A page.\n",
            "export/__init__.py": '"""A room."""\n',
            "export/a.py": '"""A module."""\nfrom export import b\ndef _f(each):\n    epsilon = 400\n',
            "export/b.py": '"""A module."""\nfrom export import a\ndef _g(): pass\n',
        }
    )
    main([str(root)])
    lines = capsys.readouterr().out.splitlines()
    assert "| export | 3 | 1 | `export` | 3 |" in lines
    assert "| modules of export | 3 | 1 | 2 | 1 |" in lines
    assert "* modules of export: export.a, export.b" in lines
    assert "| functions with a local that says little | 50.0% |" in lines
    assert "| public names without a docstring | 0 |" in lines
    assert "| pages | 2 | 1 | 1 |" in lines
    assert "| epsilon | 1 | 400 `export/a.py:4` |" in lines


def test_a_folder_that_is_not_a_checkout_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "holds none of the folders" in capsys.readouterr().err
