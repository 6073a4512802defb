"""The Icelandic recipe: spoken queries about streets, towns, people and businesses, and fragments of everyday text.

Streets and towns with their datives are from iceaddr, names from Faker, word counts up to triples from icegrams. Form 1
of a slot is the dative. Templates do not know which towns take "á" and which "í"; neither do all speakers.
"""

import collections
import importlib.util
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from workbench.corpus.synthesis import icegrams_table
from workbench.corpus.synthesis.recipe import Recipe, Slot, Sounds, arrows, single, split_lines
from workbench.settings import UserError

LETTERS = r"(?=.*[aeiouyáéíóúýæö])[a-záðéíóúýþæö]{2,17}|[íáæóe]"
TEMPLATES = split_lines("""
    {business} í {town1} | {business} á {street1} | {street} {number} | {first} {last} | veður í {town1}
    {topic} {town} | hvar er næsta {business} | hvernig kemst ég til {town} | símanúmer hjá {first} {last}
    {business} {town} | {first} {last} {town} | leiðin frá {street1} til {town} | bestu {topic} í {town1}
    {topic} {business} | opnunartími {business} {town} | {street} {number} {town} | ódýrt {topic} {town}
    {business} nálægt mér | {first} {last} sími | veður á morgun í {town1} | {street} {town} | {topic} í kvöld
    er opið í {business} í dag | hvað er klukkan í {town1} | hvenær opnar {business} á {street1} | hringja í {first}
    {business} {street} | hringdu í {first} {last} | {topic} á {street1} {number} | hversu langt er til {town}
    sýndu mér {topic} í {town1} | {number} {topic} | nýjustu {topic} frá {town1} | næsta {business} við {street1}
""")
BUSINESSES = """
    veitingastaður bensínstöð apótek bakarí sundlaug hótel kaffihús banki bókasafn sjúkrahús heilsugæsla bílaverkstæði
    hárgreiðslustofa blómabúð matvöruverslun pósthús skóli leikskóli kirkja safn bíó leikhús tannlæknir lögfræðingur
    fasteignasala bílaleiga ísbúð pítsa hamborgari sushi líkamsrækt golfvöllur bókabúð fiskbúð gleraugnabúð dýralæknir
    lögreglan pípari rafvirki málari smiður ljósmyndari gistiheimili tjaldsvæði skíðasvæði bar krá verslun
"""
TOPICS = """
    veður opnunartími símanúmer heimilisfang leið kort strætó matseðill verð myndir uppskrift fréttir dagskrá tónleikar
    miðar flug gisting vinna íbúð einbýlishús leiga tilboð úrslit bílar námskeið útsala leikir bækur sýningar ferðir
"""
NUMBERS = """
    einn tveir þrír fjórir fimm sex sjö átta níu tíu ellefu tólf þrettán fjórtán fimmtán sextán sautján átján nítján
    tuttugu þrjátíu fjörutíu fimmtíu sextíu sjötíu áttatíu níutíu hundrað
"""
POPULAR = """
    jón guðrún sigurður anna gunnar kristín ólafur margrét einar sigríður magnús helga stefán ragnheiður björn jóhanna
    árni katrín guðmundur inga kristján hildur helgi elín bjarni sólveig páll eva ragnar ásta daníel þóra arnar lilja
    davíð birna andri erla
"""
FATHERS = "jóns guðmunds sigurðs gunnars ólafs einars kristjáns magnús stefáns jóhanns björns árna bjarna helga péturs"
# Length of diphthongs, devoiced r and m, and sounds of foreign words make no phones of their own; "*" is the beginning
# of a tapped r.
PHONES = """
    a a: E E: I I: i i: O O: y y: u W b c C d D f g h j J k l m n N p Q s t T v x aI aU eI oU Yy r
"""
FOLD = {p: p for p in PHONES.split()} | {
    p: "".join(q)
    for p, q in arrows("""
    u:→u W:→W aI:→aI aU:→aU eI:→eI oU:→oU Yy:→Yy yI→y OI→O R→r R2→r r#→r m#→m n#→nh N#→nh n^#→nh n^→ny l#→lh tl#→lh
    s2→s z→s S→s *→ **→ @-→ ;→
""").items()
}
NEAR = arrows("""
    a→O,E E→I,a I→i,E i→I,y O→oU,a,W u→y,oU,O y→W,u,I W→O,y,E aI→a,eI eI→E,aI aU→oU,a oU→O,u Yy→W,y lh→l nh→n ny→n,J
    b→v,p d→D,t g→Q,k p→b,f t→d,s k→g,x c→k,g f→v,T T→f,s,D s→T x→h,Q h→x v→b,f D→d,T Q→g,x j→I m→n n→m,N N→n,J J→n
    l→R r→l,D
""")
VOWELS = "a a: E E: I I: i i: O O: y y: u W aI aU eI oU Yy"
SOUNDS = Sounds("is", FOLD, NEAR, frozenset(VOWELS.split()))


def recipe() -> Recipe:
    """The recipe; UserError if one of its packages is missing."""
    streets, towns = _places()
    first, last = _names()
    slots = {
        "business": Slot(single(BUSINESSES.split()), 0.05, 100),
        "topic": Slot(single(TOPICS.split()), 0.04, 100),
        "number": Slot(single(NUMBERS.split()), 0.05, 100),
        "town": Slot(towns, 0.03, 150),
        "street": Slot(streets, 0.05, 1200),
        "first": Slot(single(first), 0.06, 600, by_count=True),
        "last": Slot(single(last), 0.06, 800, by_count=True),
    }
    return Recipe(
        "is",
        SOUNDS,
        TEMPLATES,
        slots,
        icegrams_table.read,
        LETTERS,
        ("Faker", "iceaddr", "icegrams"),
    )


def _places() -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """(nominative, dative) of streets, those with most houses first, and of towns, those with most postcodes first."""
    spec = importlib.util.find_spec("iceaddr")
    if spec is None or spec.origin is None:
        raise UserError("Icelandic text needs the package iceaddr: pip install 'workbench[data]'")
    from iceaddr.postcodes import POSTCODES

    query = "select heiti_nf, heiti_tgf, count(*) from stadfong group by 1, 2 order by 3 desc, 1, 2"
    with closing(
        sqlite3.connect(f"file:{Path(spec.origin).parent / 'iceaddr.db'}?mode=ro", uri=True)
    ) as database:
        streets = [(a.lower(), b.lower()) for a, b, _ in database.execute(query) if a and b]
    postcodes = collections.Counter(
        (p["stadur_nf"].lower(), p["stadur_tgf"].lower()) for p in POSTCODES.values()
    )
    towns = [pair for pair, _ in sorted(postcodes.items(), key=lambda x: (-x[1], x[0]))]
    return _spellable(streets), _spellable(towns)


def _spellable(pairs: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(
        pair for pair in dict.fromkeys(pairs) if all(re.fullmatch(LETTERS, w) for w in pair)
    )


def _names() -> tuple[list[str], list[str]]:
    """First names, and patronymics made of fathers' genitives."""
    try:
        from faker.providers.person.is_IS import Provider
    except ImportError:
        raise UserError(
            "Icelandic names need the package Faker: pip install 'workbench[data]'"
        ) from None
    fathers = [name.lower() for name in Provider.last_names_without_suffix]
    first = POPULAR.split() + [n.lower() for n in Provider.first_names]
    return first, [f + end for f in FATHERS.split() + fathers for end in ("son", "dóttir")]
