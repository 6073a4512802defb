"""The English recipe: spoken queries about streets, cities, people and businesses, and fragments of the text of the
Web.

Names are from Faker, word and pair counts from wordsegment (a part of the counts of the Google Web corpus); cities and
streets are listed here. The voice is General American.
"""

import importlib.util
from pathlib import Path

import numpy as np

from workbench.corpus.synthesis.ngrams import Counts
from workbench.corpus.synthesis.recipe import Recipe, Slot, Sounds, arrows, single, split_lines
from workbench.settings import UserError

LETTERS = r"(?=.*[aeiouy])[a-z]{2,17}|[ai]"
TEMPLATES = split_lines("""
    {business} in {city} | {business} on {street} {suffix} | {number} {street} {suffix} | {first} {last}
    weather in {city} | {topic} {city} | where is the nearest {business} | how do i get to {city}
    phone number for {first} {last} | {business} {city} | {first} {last} {city}
    directions from {street} {suffix} to {city} | best {topic} in {city} | {topic} {business}
    opening hours {business} {city} | {number} {street} {suffix} {city} | cheap {topic} {city} | {business} near me
    call {first} {last} | weather tomorrow in {city} | {street} {suffix} {city} | {topic} tonight
    is the {business} open today | what time is it in {city} | when does the {business} open | call {first}
    {business} {street} {suffix} | {topic} on {street} {suffix} | how far is it to {city} | show me {topic} in {city}
    {number} {topic} | latest {topic} from {city} | next {business} on {street} {suffix}
""")
BUSINESSES = """
    restaurant hospital pharmacy bakery pool hotel cafe bank library museum church school dentist lawyer theater cinema
    florist barber gym supermarket bookstore butcher plumber electrician painter carpenter photographer campground bar
    pub store garage airport station stadium clinic optician locksmith laundry motel diner brewery aquarium zoo
    university college embassy courthouse jeweler
"""
TOPICS = """
    weather news concerts flights jobs apartments houses tickets recipes movies pizza burgers sushi coffee traffic maps
    pictures prices results games books exhibitions tours courses cars scores hours parking lodging events
"""
NUMBERS = """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
"""
SUFFIXES = "street avenue road lane drive boulevard court place square way"
STREETS = """
    main park oak washington maple lake elm view hill cedar pine church broad high center union north walnut chestnut
    mill river south spring ridge lincoln spruce jackson prospect sunset franklin railroad west willow jefferson cherry
    highland meadow forest madison east dogwood hickory college water green valley adams liberty bridge garden pleasant
    school locust market summit monroe winter birch harrison grove laurel poplar magnolia clinton grant cottage hillside
    mountain orchard heather sycamore ash beech state court academy central canal harbor bay ocean beach front pearl
    vine mulberry delaware virginia georgia carolina dakota cleveland hamilton marshall sherman taylor wilson warren
    perry douglas howard lafayette columbia victoria windsor oxford cambridge devon essex york kent bristol
"""
CITIES = split_lines("""
    new york | los angeles | chicago | houston | phoenix | philadelphia | san antonio | san diego | dallas | san jose
    austin | boston | jacksonville | columbus | indianapolis | charlotte | san francisco | seattle | denver
    washington | nashville | oklahoma city | el paso | portland | las vegas | detroit | memphis | louisville
    baltimore | milwaukee | albuquerque | tucson | fresno | sacramento | kansas city | mesa | atlanta | omaha
    colorado springs | raleigh | long beach | virginia beach | miami | oakland | minneapolis | tulsa | bakersfield
    tampa | wichita | arlington | aurora | new orleans | cleveland | anaheim | honolulu | henderson | stockton
    riverside | lexington | corpus christi | orlando | irvine | cincinnati | santa ana | newark | saint paul
    pittsburgh | greensboro | lincoln | anchorage | plano | durham | jersey city | chandler | buffalo | madison
    lubbock | gilbert | reno | norfolk | winston salem | glendale | laredo | chesapeake | richmond | garland | irving
    scottsdale | fremont | spokane | boise | hialeah | baton rouge | modesto | tacoma | fontana | rochester | yonkers
    augusta | little rock | amarillo | mobile | grand rapids | tallahassee | huntsville | worcester | knoxville
    providence | fort lauderdale | chattanooga | sioux falls | vancouver | salem | eugene | springfield | salinas
    hayward | sunnyvale | hollywood | pasadena | savannah | syracuse | dayton | hampton | waco | charleston
    stamford | topeka | hartford | cambridge | ann arbor | berkeley | boulder | albany | santa barbara | evanston
    trenton | juneau | santa fe | portsmouth | burlington | bangor
""")
# Syllabic, reduced and tapped sounds make no phones of their own except the syllabic l; neither do sounds of foreign
# words.
PHONES = """
    n t s I k d r l @ m z a E p eI V 3 v f b D aI i oU w S j g h N dZ O@ tS A@ aU O T e@ U i@ U@ OI Z aI@ u
"""
FOLD = {p: p for p in PHONES.split()} | {
    p: "".join(q)
    for p, q in arrows("""
    i:→i u:→u 3:→3 I#→I I2→I @2→@ a#→@ @-→@ @L→@l 0→A A:→A aa→a O:→O O2→O o@→O@ i@3→i@ aI3→aI@ t#→t t2→t ?→t n-→n
    r-→r ;→
""").items()
}
NEAR = arrows("""
    I→E,i E→I,a a→E,V @→I,V V→@,0 A→V,O: O→0,oU i→I,eI u→U,oU U→u:,@ 3→@,V eI→E,aI aI→a,eI oU→O:,U aU→a,oU OI→oU,aI
    O@→3:,A@ A@→O@,3: e@→i@,3: n→m,N m→n N→n t→d d→t,D k→g g→k p→b,f b→p,v s→z,T z→s S→s,tS tS→S,t dZ→Z,d Z→z T→f,t
    D→d,v v→b,f f→v,T l→w r→w w→v j→i h→f
""")
VOWELS = "I @ a E eI V 3 aI i oU O@ A@ aU O e@ U i@ U@ OI aI@ u @l A"
SOUNDS = Sounds("en-us", FOLD, NEAR, frozenset(VOWELS.split()))


def recipe() -> Recipe:
    """The recipe; UserError if one of its packages is missing."""
    try:
        from faker.providers.person.en_US import Provider
    except ImportError:
        raise UserError(
            "English names need the package Faker: pip install 'workbench[data]'"
        ) from None
    first, last = (
        [name.lower() for name in _by_share(names)]
        for names in (Provider.first_names, Provider.last_names)
    )
    slots = {
        "business": Slot(single(BUSINESSES.split()), 0.05, 100),
        "topic": Slot(single(TOPICS.split()), 0.04, 100),
        "number": Slot(single(NUMBERS.split()), 0.05, 100),
        "suffix": Slot(single(SUFFIXES.split()), 0.02, 100),
        "city": Slot(single(CITIES), 0.04, 200),
        "street": Slot(single([*STREETS.split(), *last]), 0.05, 800),
        "first": Slot(single(first), 0.06, 600),
        "last": Slot(single(last), 0.06, 900),
    }
    return Recipe("en", SOUNDS, TEMPLATES, slots, counts, LETTERS, ("Faker", "wordsegment"))


def counts(leading: int) -> Counts:
    """Counts of words, falling, and of pairs that begin with a sentence border or one of the ``leading`` words."""
    spec = importlib.util.find_spec("wordsegment")
    if spec is None or spec.origin is None:
        raise UserError("English text needs the package wordsegment: pip install 'workbench[data]'")
    folder = Path(spec.origin).parent
    single_counts = _table(folder / "unigrams.txt")
    words = ("", *sorted(single_counts, key=lambda w: (-single_counts[w], w)))
    number = {"<s>": 0, **{w: i for i, w in enumerate(words)}}
    pairs = np.array(
        sorted(
            (number[a], number[b], n)
            for (a, _, b), n in (
                (text.partition(" "), n) for text, n in _table(folder / "bigrams.txt").items()
            )
            if number.get(a, leading + 1) <= leading and b in number
        ),
        np.int64,
    )
    return Counts(
        words=words,
        count=np.array([0, *(single_counts[w] for w in words[1:])], np.int64),
        pair_first=np.searchsorted(pairs[:, 0], np.arange(len(words) + 1)),
        pair_word=pairs[:, 1].astype(np.int32),
        pair_count=pairs[:, 2],
        triple_first=np.zeros(len(pairs) + 1, np.int64),
        triple_word=np.zeros(0, np.int32),
        triple_count=np.zeros(0, np.int64),
    )


def _table(path: Path) -> dict[str, int]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {text: int(float(count)) for text, _, count in (line.partition("\t") for line in lines)}


def _by_share(names) -> list[str]:
    """Names, those with the largest share first, where shares are given."""
    return sorted(names, key=lambda n: -names[n]) if isinstance(names, dict) else list(names)
