"""English sentences: 24 to calibrate on, 8 topics of 6 to test on, and thousands that timm carries to train on."""

import random
from importlib.resources import files

CALIBRATION = """\
The baker slid the last tray of rolls out of the oven before sunrise.
Nobody on the ferry noticed that the wind had turned to the north.
She tuned the cello slowly, listening for the beat between two strings.
Our neighbour grows tomatoes in old paint tins on the balcony.
The committee will publish its report on water prices in March.
He forgot the password and had to wait a day for a new one.
A thin layer of ice covered the pond, too weak for skating.
The museum lends its maps only to people who wash their hands.
Most of the villagers learned to read after the school reopened.
My grandfather repaired clocks in a room smaller than a lift.
The film was shot in black and white and never got a sequel.
Two goats stood on the roof of the shed and refused to come down.
If the pressure falls below two bar, the pump switches itself off.
The painter mixed a grey so warm that it looked almost pink.
They walked along the canal until the street lamps came on.
Every parcel is weighed twice because the first scale is unreliable.
The judge asked the witness to repeat the name of the street.
Her new boots were comfortable, waterproof and extremely ugly.
Seven languages are spoken in that small valley.
The printer jammed again, ten minutes before the meeting.
Lightning struck the old oak, and it burned for an hour.
He sold the vineyard and bought a bookshop by the sea.
Children under six travel free on all city trams.
The recipe asks for more salt than anyone should eat.
""".splitlines()

TOPICS = {
    "weather": """\
Heavy rain is expected along the coast tonight.
A storm will bring gusts and showers to the seaside towns.
The forecast promises a dry and sunny weekend.
After weeks of drought, clouds finally gathered over the hills.
Snow closed the mountain pass for three days.
Fog kept the harbour hidden until noon.""",
    "cooking": """\
Fry the onions gently until they turn golden.
The soup needs another pinch of pepper and some lemon juice.
He kneaded the dough and left it to rise under a cloth.
Roast the vegetables with olive oil and garlic.
This stew tastes better when it is warmed up the next day.
Whisk the eggs with sugar before adding the flour.""",
    "money": """\
The central bank raised interest rates by half a point.
Borrowing has become more expensive for young families.
Shares of the carmaker fell after the profit warning.
She put her savings into a fund that follows the whole market.
Inflation slowed down for the third month in a row.
The shop went bankrupt because it could not repay its loans.""",
    "space": """\
The probe sent back pictures of a crater on the moon.
Astronomers discovered a planet that circles two suns.
A rocket carrying three astronauts docked at the station.
The telescope collects the faint light of distant galaxies.
Mars has the largest volcano in the solar system.
The comet will not come close to the Earth for another century.""",
    "health": """\
The doctor prescribed an antibiotic against the infection.
A vaccine protects most patients from the severe form of the disease.
He broke his ankle and must walk on crutches for a month.
Regular sleep lowers the risk of heart trouble.
The nurse measured her blood pressure every hour.
Too much screen time can cause headaches and dry eyes.""",
    "football": """\
The striker scored twice in the last ten minutes.
Our goalkeeper saved a penalty and kept us in the cup.
The home side lost the match despite having more of the ball.
Their coach resigned after the fifth defeat of the season.
A late foul gave the visitors a free kick near the box.
Thousands of fans sang in the stadium long after the final whistle.""",
    "computers": """\
The program crashed because it ran out of memory.
A bug in the new release deletes files without asking.
She rewrote the slow function and halved the running time.
The server was overloaded by too many requests at once.
Back up your data before you install the update.
An attacker guessed the password and copied the whole database.""",
    "animals": """\
The cat slept on the windowsill all afternoon.
A litter of kittens was born in the hay barn.
Wolves have returned to the forests along the border.
The dog barked at the postman and wagged its tail.
Swallows build their nests of mud under the eaves.
An octopus can open a jar from the inside.""",
}

TEST = [line for text in TOPICS.values() for line in text.splitlines()]


def definitions(count: int = 3000) -> list[str]:
    """Dictionary definitions of ImageNet's classes, of 6 to 12 words, in a fixed random order."""
    raw = (files("timm") / "data" / "_info" / "imagenet_synset_to_definition.txt").read_text(encoding="utf-8")
    texts = sorted({line.partition("\t")[2].strip() for line in raw.splitlines()})
    kept = [t for t in texts if 6 <= len(t.split()) <= 12]
    random.Random(0).shuffle(kept)
    return kept[:count]
