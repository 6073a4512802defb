"""The Icelandic recipe: queries about streets, towns, people and businesses; everyday text.

Streets and towns with their datives are from iceaddr, names from Faker, counts up to trigrams from
icegrams. Form 1 of a slot is the dative. Templates do not distinguish towns that take "á" from
those that take "í"; neither do all speakers.
"""

import importlib.util
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from workbench.corpus.synthesis.icegrams_table import read_icegrams
from workbench.corpus.synthesis.recipe import (
    Recipe,
    Slot,
    SlotEntry,
    Sounds,
    parse_arrows,
    single_forms,
    split_lines,
)
from workbench.settings import UserError

LETTERS = r"(?=.*[aeiouyáéíóúýæö])[a-záðéíóúýþæö]{2,17}|[íáæóe]"
TEMPLATES = split_lines("""
    {business} í {town1} | {business} á {street1} | {street} {number} | {first} {last}
    veður í {town1} | {topic} {town} | hvar er næsta {business} | hvernig kemst ég til {town}
    símanúmer hjá {first} {last} | {business} {town} | {first} {last} {town}
    leiðin frá {street1} til {town} | bestu {topic} í {town1} | {topic} {business}
    opnunartími {business} {town} | {street} {number} {town} | ódýrt {topic} {town}
    {business} nálægt mér | {first} {last} sími | veður á morgun í {town1} | {street} {town}
    {topic} í kvöld | er opið í {business} í dag | hvað er klukkan í {town1}
    hvenær opnar {business} á {street1} | hringja í {first} | {business} {street}
    hringdu í {first} {last} | {topic} á {street1} {number} | hversu langt er til {town}
    sýndu mér {topic} í {town1} | {number} {topic} | nýjustu {topic} frá {town1}
    næsta {business} við {street1}
""")
BUSINESSES = """
    veitingastaður bensínstöð apótek bakarí sundlaug hótel kaffihús banki bókasafn sjúkrahús
    heilsugæsla bílaverkstæði hárgreiðslustofa blómabúð matvöruverslun pósthús skóli leikskóli
    kirkja safn bíó leikhús tannlæknir lögfræðingur fasteignasala bílaleiga ísbúð pítsa hamborgari
    sushi líkamsrækt golfvöllur bókabúð fiskbúð gleraugnabúð dýralæknir lögreglan pípari rafvirki
    málari smiður ljósmyndari gistiheimili tjaldsvæði skíðasvæði bar krá verslun
"""
TOPICS = """
    veður opnunartími símanúmer heimilisfang leið kort strætó matseðill verð myndir uppskrift
    fréttir dagskrá tónleikar miðar flug gisting vinna íbúð einbýlishús leiga tilboð úrslit bílar
    námskeið útsala leikir bækur sýningar ferðir
"""
NUMBERS = """
    einn tveir þrír fjórir fimm sex sjö átta níu tíu ellefu tólf þrettán fjórtán fimmtán sextán
    sautján átján nítján tuttugu þrjátíu fjörutíu fimmtíu sextíu sjötíu áttatíu níutíu hundrað
"""
POPULAR = """
    jón guðrún sigurður anna gunnar kristín ólafur margrét einar sigríður magnús helga stefán
    ragnheiður björn jóhanna árni katrín guðmundur inga kristján hildur helgi elín bjarni sólveig
    páll eva ragnar ásta daníel þóra arnar lilja davíð birna andri erla
"""
FATHERS = """
    jóns guðmunds sigurðs gunnars ólafs einars kristjáns magnús stefáns jóhanns björns árna bjarna
    helga péturs
"""

# Length of diphthongs, devoiced r and m, and sounds of foreign words make no phones; "*" is the
# beginning of a tapped r.
PHONES = """
    a a: E E: I I: i i: O O: y y: u W b c C d D f g h j J k l m n N p Q s t T v x aI aU eI oU Yy r
"""
FOLDED = parse_arrows("""
    u:→u W:→W aI:→aI aU:→aU eI:→eI oU:→oU Yy:→Yy yI→y OI→O R→r R2→r r#→r m#→m n#→nh N#→nh n^#→nh
    n^→ny l#→lh tl#→lh s2→s z→s S→s *→ **→ @-→ ;→
""")
FOLD = {phone: phone for phone in PHONES.split()} | {
    mnemonic: "".join(phones) for mnemonic, phones in FOLDED.items()
}
NEAR = parse_arrows("""
    a→O,E E→I,a I→i,E i→I,y O→oU,a,W u→y,oU,O y→W,u,I W→O,y,E aI→a,eI eI→E,aI aU→oU,a oU→O,u
    Yy→W,y lh→l nh→n ny→n,J b→v,p d→D,t g→Q,k p→b,f t→d,s k→g,x c→k,g f→v,T T→f,s,D s→T x→h,Q h→x
    v→b,f D→d,T Q→g,x j→I m→n n→m,N N→n,J J→n l→R r→l,D
""")
VOWELS = "a a: E E: I I: i i: O O: y y: u W aI aU eI oU Yy"
SOUNDS = Sounds("is", FOLD, NEAR, frozenset(VOWELS.split()))


def recipe() -> Recipe:
    """Return the recipe; raise UserError if one of its packages is missing."""
    places = _read_places()
    names = _read_names()
    slots = {
        "business": Slot(single_forms(BUSINESSES.split()), 0.05, 100),
        "topic": Slot(single_forms(TOPICS.split()), 0.04, 100),
        "number": Slot(single_forms(NUMBERS.split()), 0.05, 100),
        "town": Slot(places.towns, 0.03, 150),
        "street": Slot(places.streets, 0.05, 1200),
        "first": Slot(single_forms(names.first), 0.06, 600, by_count=True),
        "last": Slot(single_forms(names.last), 0.06, 800, by_count=True),
    }
    return Recipe(
        language="is",
        sounds=SOUNDS,
        templates=TEMPLATES,
        slots=slots,
        read_counts=read_icegrams,
        letters=LETTERS,
        packages=("Faker", "iceaddr", "icegrams"),
    )


@dataclass(frozen=True)
class _Places:
    """Streets and towns in the nominative and the dative."""

    streets: tuple[SlotEntry, ...]  # those with most houses first
    towns: tuple[SlotEntry, ...]  # those with most postcodes first


def _read_places() -> _Places:
    spec = importlib.util.find_spec("iceaddr")
    if spec is None or spec.origin is None:
        raise UserError("Icelandic text needs the package iceaddr: pip install 'workbench[data]'")
    from iceaddr.postcodes import POSTCODES

    database = Path(spec.origin).parent / "iceaddr.db"
    query = "select heiti_nf, heiti_tgf, count(*) from stadfong group by 1, 2 order by 3 desc, 1, 2"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute(query).fetchall()
    streets = [
        (nominative.lower(), dative.lower())
        for nominative, dative, _ in rows
        if nominative and dative
    ]

    postcodes = Counter(
        (code["stadur_nf"].lower(), code["stadur_tgf"].lower()) for code in POSTCODES.values()
    )
    ranked = sorted(postcodes.items(), key=lambda item: (-item[1], item[0]))
    towns = [town for town, _ in ranked]
    return _Places(_keep_spellable(streets), _keep_spellable(towns))


def _keep_spellable(entries: Iterable[SlotEntry]) -> tuple[SlotEntry, ...]:
    """Return the entries, without repetitions, that are single words of Icelandic letters."""
    return tuple(
        entry
        for entry in dict.fromkeys(entries)
        if all(re.fullmatch(LETTERS, word) for word in entry)
    )


@dataclass(frozen=True)
class _Names:
    """First names, and patronymics made of fathers' genitives."""

    first: list[str]
    last: list[str]


def _read_names() -> _Names:
    try:
        from faker.providers.person.is_IS import Provider
    except ImportError:
        raise UserError(
            "Icelandic names need the package Faker: pip install 'workbench[data]'"
        ) from None

    first = POPULAR.split() + [name.lower() for name in Provider.first_names]
    fathers = FATHERS.split() + [name.lower() for name in Provider.last_names_without_suffix]
    last = [father + ending for father in fathers for ending in ("son", "dóttir")]
    return _Names(first, last)
