"""The twelve invented species of RingSpecies and what sets them apart.

Species ``k < 6`` has the first ``k`` parts "on"; species ``6 + k`` is its
complement. Going round the ring therefore switches one part at a time: two
neighbours differ in exactly one part, all other pairs in at least two, and
the two parts in which a species differs from its neighbours identify it.
"""

PARTS = ('crown', 'beak', 'collar', 'breast', 'wing', 'tail')

SPECIES = ('Alder Finch', 'Bramble Wren', 'Cinder Lark', 'Dusk Warbler',
           'Ember Thrush', 'Frost Bunting', 'Gorse Pipit', 'Harbour Siskin',
           'Iris Chat', 'Juniper Linnet', 'Kelp Sparrow', 'Lantern Oriole')


def attributes_of(species):
    """Tell which parts of a species are "on".

    Args:
        species: Place on the ring, 0 to 11.

    Returns:
        tuple[bool]: One value for each of :data:`PARTS`.
    """
    complement, num_on = divmod(species, len(PARTS))
    return tuple(
        (part < num_on) != bool(complement) for part in range(len(PARTS)))


def telling_parts_of(species):
    """Tell which two parts set a species apart from its neighbours.

    Args:
        species: Place on the ring, 0 to 11.

    Returns:
        tuple[int]: Indices into :data:`PARTS`: the part that differs from the
        previous species, then the one that differs from the next.
    """
    return ((species - 1) % len(PARTS), species % len(PARTS))
