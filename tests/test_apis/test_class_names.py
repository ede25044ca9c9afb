import pytest

from intr_mm.apis import ClassNames

NAMES = ClassNames(['001.Indigo_Bunting', 'Le_Conte-Sparrow', '7', 'Wren'], 4)


@pytest.mark.parametrize('item, index', [
    ('001.Indigo_Bunting', 0),
    ('Indigo Bunting', 0),
    ('indigo_bunting', 0),
    ('le conte sparrow', 1),
    ('7', 2),
    (3, 3),
    ('0', 0),
])
def test_index(item, index):
    assert NAMES.index(item) == index


def test_unknown_names():
    with pytest.raises(
            ValueError, match="'Indigo Buntin'.* 001.Indigo_Bunting"):
        NAMES.index('Indigo Buntin')
    for bad in (4, '-1', -1):
        with pytest.raises(ValueError, match='0 to 3'):
            NAMES.index(bad)
    with pytest.raises(ValueError, match='name'):
        ClassNames(None, 3).index('wren')


def test_resolve():
    spec = ('gt', 'pred', 'top3', 'wren', 1)
    assert NAMES.resolve(spec) == ['gt', 'pred', 'top3', 3, 1]
    assert NAMES.resolve('wren') == [3]
    assert ClassNames(None, 3).resolve(2) == [2]


def test_names_for_people():
    assert NAMES[1] == 'Le Conte-Sparrow'
    assert ClassNames(None, 3)[1] == '1'
