"""The English recipe: queries about streets, cities, people and businesses; text of the Web.

Names are from Faker, counts of words and bigrams from wordsegment (a part of the counts of the
Google Web corpus); cities and streets are listed here. The voice is General American.
"""

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from workbench.corpus.synthesis.ngrams import Counts
from workbench.corpus.synthesis.recipe import (
    Recipe,
    Slot,
    Sounds,
    parse_arrows,
    single_forms,
    split_lines,
)
from workbench.settings import UserError

LETTERS = r"(?=.*[aeiouy])[a-z]{2,17}|[ai]"
TEMPLATES = split_lines("""
    {business} in {city} | {business} on {street} {suffix} | {number} {street} {suffix}
    {first} {last} | weather in {city} | {topic} {city} | where is the nearest {business}
    how do i get to {city} | phone number for {first} {last} | {business} {city}
    {first} {last} {city} | directions from {street} {suffix} to {city} | best {topic} in {city}
    {topic} {business} | opening hours {business} {city} | {number} {street} {suffix} {city}
    cheap {topic} {city} | {business} near me | call {first} {last} | weather tomorrow in {city}
    {street} {suffix} {city} | {topic} tonight | is the {business} open today
    what time is it in {city} | when does the {business} open | call {first}
    {business} {street} {suffix} | {topic} on {street} {suffix} | how far is it to {city}
    show me {topic} in {city} | {number} {topic} | latest {topic} from {city}
    next {business} on {street} {suffix}
""")
BUSINESSES = """
    restaurant hospital pharmacy bakery pool hotel cafe bank library museum church school dentist
    lawyer theater cinema florist barber gym supermarket bookstore butcher plumber electrician
    painter carpenter photographer campground bar pub store garage airport station stadium clinic
    optician locksmith laundry motel diner brewery aquarium zoo university college embassy
    courthouse jeweler
"""
TOPICS = """
    weather news concerts flights jobs apartments houses tickets recipes movies pizza burgers
    sushi coffee traffic maps pictures prices results games books exhibitions tours courses cars
    scores hours parking lodging events
"""
NUMBERS = """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
    hundred
"""
SUFFIXES = "street avenue road lane drive boulevard court place square way"
STREETS = """
    main park oak washington maple lake elm view hill cedar pine church broad high center union
    north walnut chestnut mill river south spring ridge lincoln spruce jackson prospect sunset
    franklin railroad west willow jefferson cherry highland meadow forest madison east dogwood
    hickory college water green valley adams liberty bridge garden pleasant school locust market
    summit monroe winter birch harrison grove laurel poplar magnolia clinton grant cottage
    hillside mountain orchard heather sycamore ash beech state court academy central canal harbor
    bay ocean beach front pearl vine mulberry delaware virginia georgia carolina dakota cleveland
    hamilton marshall sherman taylor wilson warren perry douglas howard lafayette columbia
    victoria windsor oxford cambridge devon essex york kent bristol
"""
CITIES = split_lines("""
    new york | los angeles | chicago | houston | phoenix | philadelphia | san antonio | san diego
    dallas | san jose | austin | boston | jacksonville | columbus | indianapolis | charlotte
    san francisco | seattle | denver | washington | nashville | oklahoma city | el paso | portland
    las vegas | detroit | memphis | louisville | baltimore | milwaukee | albuquerque | tucson
    fresno | sacramento | kansas city | mesa | atlanta | omaha | colorado springs | raleigh
    long beach | virginia beach | miami | oakland | minneapolis | tulsa | bakersfield | tampa
    wichita | arlington | aurora | new orleans | cleveland | anaheim | honolulu | henderson
    stockton | riverside | lexington | corpus christi | orlando | irvine | cincinnati | santa ana
    newark | saint paul | pittsburgh | greensboro | lincoln | anchorage | plano | durham
    jersey city | chandler | buffalo | madison | lubbock | gilbert | reno | norfolk
    winston salem | glendale | laredo | chesapeake | richmond | garland | irving | scottsdale
    fremont | spokane | boise | hialeah | baton rouge | modesto | tacoma | fontana | rochester
    yonkers | augusta | little rock | amarillo | mobile | grand rapids | tallahassee | huntsville
    worcester | knoxville | providence | fort lauderdale | chattanooga | sioux falls | vancouver
    salem | eugene | springfield | salinas | hayward | sunnyvale | hollywood | pasadena | savannah
    syracuse | dayton | hampton | waco | charleston | stamford | topeka | hartford | cambridge
    ann arbor | berkeley | boulder | albany | santa barbara | evanston | trenton | juneau
    santa fe | portsmouth | burlington | bangor
""")

# Syllabic, reduced and tapped sounds make no phones except the syllabic l. Sounds of foreign words
# make none at all.
PHONES = """
    n t s I k d r l @ m z a E p eI V 3 v f b D aI i oU w S j g h N dZ O@ tS A@ aU O T e@ U i@ U@
    OI Z aI@ u
"""
FOLDED = parse_arrows("""
    i:→i u:→u 3:→3 I#→I I2→I @2→@ a#→@ @-→@ @L→@l 0→A A:→A aa→a O:→O O2→O o@→O@ i@3→i@ aI3→aI@
    t#→t t2→t ?→t n-→n r-→r ;→
""")
FOLD = {phone: phone for phone in PHONES.split()} | {
    mnemonic: "".join(phones) for mnemonic, phones in FOLDED.items()
}
NEAR = parse_arrows("""
    I→E,i E→I,a a→E,V @→I,V V→@,0 A→V,O: O→0,oU i→I,eI u→U,oU U→u:,@ 3→@,V eI→E,aI aI→a,eI oU→O:,U
    aU→a,oU OI→oU,aI O@→3:,A@ A@→O@,3: e@→i@,3: n→m,N m→n N→n t→d d→t,D k→g g→k p→b,f b→p,v s→z,T
    z→s S→s,tS tS→S,t dZ→Z,d Z→z T→f,t D→d,v v→b,f f→v,T l→w r→w w→v j→i h→f
""")
VOWELS = "I @ a E eI V 3 aI i oU O@ A@ aU O e@ U i@ U@ OI aI@ u @l A"
SOUNDS = Sounds("en-us", FOLD, NEAR, frozenset(VOWELS.split()))


def recipe() -> Recipe:
    """Return the recipe; raise UserError if one of its packages is missing."""
    try:
        from faker.providers.person.en_US import Provider
    except ImportError:
        raise UserError(
            "English names need the package Faker: pip install 'workbench[data]'"
        ) from None

    first = _rank_names(Provider.first_names)
    last = _rank_names(Provider.last_names)
    slots = {
        "business": Slot(single_forms(BUSINESSES.split()), 0.05, 100),
        "topic": Slot(single_forms(TOPICS.split()), 0.04, 100),
        "number": Slot(single_forms(NUMBERS.split()), 0.05, 100),
        "suffix": Slot(single_forms(SUFFIXES.split()), 0.02, 100),
        "city": Slot(single_forms(CITIES), 0.04, 200),
        "street": Slot(single_forms([*STREETS.split(), *last]), 0.05, 800),
        "first": Slot(single_forms(first), 0.06, 600),
        "last": Slot(single_forms(last), 0.06, 900),
    }
    return Recipe(
        language="en",
        sounds=SOUNDS,
        templates=TEMPLATES,
        slots=slots,
        read_counts=read_wordsegment,
        letters=LETTERS,
        packages=("Faker", "wordsegment"),
    )


def read_wordsegment(leading: int) -> Counts:
    """Return counts of words, numbered by falling frequency, and of bigrams.

    Pairs begin with the sentence boundary or one of the ``leading`` words. Raise UserError if
    the package is missing.
    """
    spec = importlib.util.find_spec("wordsegment")
    if spec is None or spec.origin is None:
        raise UserError("English text needs the package wordsegment: pip install 'workbench[data]'")
    folder = Path(spec.origin).parent

    word_counts = _read_table(folder / "unigrams.txt")
    words = ("", *sorted(word_counts, key=lambda word: (-word_counts[word], word)))
    number = {"<s>": 0, **{word: i for i, word in enumerate(words)}}

    bigrams = []
    for text, count in _read_table(folder / "bigrams.txt").items():
        first, _, second = text.partition(" ")
        if number.get(first, leading + 1) <= leading and second in number:
            bigrams.append((number[first], number[second], count))
    bigrams.sort()
    first_words, second_words, bigram_counts = np.array(bigrams, np.int64).T

    return Counts(
        words=words,
        count=np.array([0, *(word_counts[word] for word in words[1:])], np.int64),
        bigram_first=np.searchsorted(first_words, np.arange(len(words) + 1)),
        bigram_word=second_words.astype(np.int32),
        bigram_count=bigram_counts,
        trigram_first=np.zeros(len(bigrams) + 1, np.int64),
        trigram_word=np.zeros(0, np.int32),
        trigram_count=np.zeros(0, np.int64),
    )


def _read_table(path: Path) -> dict[str, int]:
    """Return the counts in a file with a text, a tab and a count on each line."""
    table: dict[str, int] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        text, _, count = line.partition("\t")
        table[text] = int(float(count))
    return table


def _rank_names(names: Mapping[str, float] | Iterable[str]) -> list[str]:
    """Return names in lower case, those with the largest share first where shares are given."""
    if isinstance(names, Mapping):
        shares = names
        names = sorted(shares, key=lambda name: -shares[name])
    return [name.lower() for name in names]
