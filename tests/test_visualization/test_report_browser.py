"""The report as a reader uses it, in a browser."""
import csv
import re
from base64 import b64decode
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.spatial import cKDTree

from intr_mm.visualization import HTMLReport
from intr_mm.visualization.heat import difference_colors, difference_scale
from ..browser import console_errors, needs_browser, open_browser
from .report_data import EVIDENCE, EXPLANATIONS, HOSTILE, birds


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """Address of a report of seven images."""
    path = tmp_path_factory.mktemp('report') / 'report.html'
    birds().write(path)
    return path.as_uri()


@pytest.fixture(scope='module')
def evidence_page(tmp_path_factory):
    """Address of the same report with evidence."""
    path = tmp_path_factory.mktemp('report') / 'evidence.html'
    birds(EVIDENCE).write(path)
    return path.as_uri()


@pytest.fixture(scope='module')
def driver():
    with open_browser() as driver:
        yield driver


@pytest.fixture
def visit(driver, page):
    """Opens a link of the report; in the end nothing may have gone wrong."""

    def open_link(link='', page=page):
        driver.get('about:blank')
        driver.get(f'{page}{link}')
        return driver

    yield open_link
    assert console_errors(driver) == []
    assert driver.execute_script('return window.hacked') is None


def wait(driver, condition):
    ui = pytest.importorskip('selenium.webdriver.support.ui')
    common = pytest.importorskip('selenium.common')
    replaced = [common.StaleElementReferenceException]
    return ui.WebDriverWait(driver, 10, .02,
                            replaced).until(lambda _: condition())


def find(driver, selector):
    return driver.find_elements('css selector', selector)


def text(driver, selector):
    # In one step: between two the page may replace what was found.
    return driver.execute_script(
        """return Array.from(document.querySelectorAll(arguments[0]),
                             (element) => element.innerText.trim());""",
        selector)


def wait_for_text(driver, selector, expected):
    """What follows a link is drawn when the address has changed already."""
    try:
        wait(driver, lambda: text(driver, selector) == expected)
    finally:
        assert text(driver, selector) == expected


def shown(driver):
    """Indices of the gallery's cards, in order."""
    return driver.execute_script("""return Array.from(
        document.querySelectorAll('#gallery .card'),
        (card) => Number(card.dataset.index));""")


def pixels(driver, number=0):
    """Canvas of a panel in the view of an image, as numbers."""
    wait(driver, lambda: len(find(driver, '.panels canvas')) > number)
    width, data = driver.execute_script(
        """const c = document.querySelectorAll('.panels canvas')[arguments[0]];
        const d = c.getContext('2d').getImageData(
          0, 0, c.width, c.height).data;
        return [c.width, btoa(Array.from(d, (v) => String.fromCharCode(v))
          .join(''))];""", number)
    data = np.frombuffer(b64decode(data), np.uint8)
    return data.reshape(-1, width, 4).astype(int)


def numbers(picture, cmap):
    """Which of the 256 colours pixels have, or nearly have."""
    colors = cmap(np.arange(256), bytes=True)[:, :3]
    return cKDTree(colors).query(picture[..., :3])[1]


def choose(driver, name, value):
    driver.execute_script(
        """const c = document.getElementById(arguments[0]);
        c.value = arguments[1];
        c.dispatchEvent(new Event('input', {bubbles: true}));
        c.dispatchEvent(new Event('change', {bubbles: true}));""", name, value)


@needs_browser
def test_gallery_sorts_and_filters(visit):
    driver = visit()
    assert shown(driver) == list(range(7))
    assert driver.title.split() == f'Birds {HOSTILE}'.split()
    captions = text(driver, '#gallery .card')
    assert '✓ red ruff, 90.0 %' in captions[0]
    assert 'true: red ruff\n✗ predicted: blue bill, 60.0 %' in captions[3]
    assert f'✓ {HOSTILE}'.replace('\u2028', ' ')[:40] in captions[2]
    assert 'predicted:' in captions[4] and 'true:' not in captions[4]
    for field, value, expected in (
        ('sort', 'least', [6, 1, 3, 2, 5, 0, 4]),
        ('sort', 'most', [4, 0, 5, 2, 3, 1, 6]),
        ('sort', 'gt', [0, 3, 1, 5, 2, 6, 4]),
        ('sort', 'pred', [0, 6, 1, 3, 5, 2, 4]),
        ('of', '0', [0, 6, 3]),
        ('min', '50', [0, 3]),
        ('max', '70', [3]),
    ):
        choose(driver, f'filter-{field}', value)
        assert shown(driver) == expected
        assert f'{field}={value}' in driver.current_url
    assert text(driver, 'output')[0] == '1 of 7 images'
    link = driver.current_url.partition('#')[2]
    find(driver, 'button[type=reset]')[0].click()
    wait(driver, lambda: shown(driver) == list(range(7)))
    find(driver, '#filter-errors')[0].click()
    assert shown(driver) == [3, 6]
    choose(driver, 'filter-q', 'PHOTO_6')
    assert shown(driver) == [6]
    assert shown(visit(f'#{link}')) == [3]


@needs_browser
def test_opening_leads_to_photos(visit, tmp_path):
    driver = visit()
    assert text(driver, '.facts dd')[0].split('\n') == [
        '66.7 %', '95 % interval 30.0 to 90.3'
    ]
    assert '6 with a known class, of which 2' in text(driver, '.facts dd')[1]
    # a pair, and what a class was taken for
    find(driver, '.pairs a')[0].click()
    wait(driver, lambda: shown(driver) == [3])
    assert 'of=0&with=1' in driver.current_url
    find(driver, '#tables summary')[0].click()
    rows = text(driver, 'tbody tr')
    assert [row.split()[:2] for row in rows[:2]] == [['red', 'ruff'],
                                                     ['blue', 'bill']]
    find(driver, 'thead button')[2].click()
    wrong = [row.split()[-5] for row in text(driver, 'tbody tr')]
    assert wrong == ['1', '1', '0']
    for place, expected in ((0, [0, 3]), (1, [3]), (2, [0, 6])):
        find(driver, 'tbody tr:first-child td a')[place].click()
        wait(driver, lambda: shown(driver) == expected)
    find(driver, 'tbody tr:first-child td a')[1].click()
    wait(driver, lambda: shown(driver) == [3])
    # photo and map beside each other, or one of them
    assert len(find(driver, '.card img')) == 2
    wait(driver, lambda: len(find(driver, '.card canvas')) == 1)
    choose(driver, 'filter-show', 'photo')
    wait(driver, lambda: not find(driver, '.card canvas'))
    assert not find(driver, '#gallery .bars')[0].is_displayed()
    # keys among the cards
    find(driver, 'button[type=reset]')[0].click()
    wait(driver, lambda: len(shown(driver)) == 7)
    keys = pytest.importorskip('selenium.webdriver.common.keys').Keys
    find(driver, '.card')[0].send_keys(keys.RIGHT)
    driver.switch_to.active_element.send_keys(keys.RIGHT)
    driver.switch_to.active_element.send_keys(keys.LEFT)
    assert driver.switch_to.active_element.get_attribute('data-index') == '1'
    # what is filtered, as a table
    find(driver, '#filter-errors')[0].click()
    driver.execute_cdp_cmd('Browser.setDownloadBehavior',
                           dict(behavior='allow', downloadPath=str(tmp_path)))
    find(driver, '#csv')[0].click()
    wait(driver, (tmp_path / 'photos.csv').exists)
    with open(tmp_path / 'photos.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['name'] for row in rows] == ['photo_3.jpg', 'photo_6.jpg']
    assert rows[1]['true'] == HOSTILE.replace('_', ' ')
    assert rows[0]['correct'] == 'false'


@needs_browser
def test_photos_chosen_by_class(visit, tmp_path):
    """Have no precision, and an accuracy of these classes alone."""
    report = birds(EXPLANATIONS[:2] + EXPLANATIONS[3:4])
    report.chosen = [0, 1]
    report.write(tmp_path / 'report.html')
    driver = visit(page=(tmp_path / 'report.html').as_uri())
    assert text(driver, '.facts small')[:2] == [
        'of the named classes only, 95 % interval 20.8 to 93.9',
        'only of red ruff or blue bill, 1 told wrong'
    ]
    find(driver, '#tables summary')[0].click()
    assert 'chosen by their true class' in text(driver, '#tables p')[1]
    heads = text(driver, 'thead th')
    place = [head.startswith('Precision') for head in heads].index(True)
    cells = text(driver, f'tbody td:nth-child({place + 1})')
    assert cells == ['–'] * 3


@needs_browser
def test_cards_name_the_class_of_their_map(visit, tmp_path):
    """Unless it is the one that they call predicted."""
    plain, right = EXPLANATIONS[:2]
    # of the classes 1, 0 and 2, and of several that can be true
    rival = replace(plain, classes=[1], maps=plain.maps[:, 1:2])
    none = replace(right, gt_label=[1, 2], pred_label=[])
    two = replace(right, gt_label=[1, 2], pred_label=[0, 1])
    one = replace(right, gt_label=[1, 2], pred_label=[1])
    bar = 'attention / uniform of the {}, mean of heads'
    named = bar.format('predicted class, or of that which a card names')
    for photos, whose, label in (
        ([plain, right], ['', ''], bar.format('predicted class')),
        ([rival, right], ['blue bill', ''], named),
        ([rival], ['blue bill'], bar.format('class which a card names')),
        ([none, two, one], ['blue bill', 'blue bill', ''], named),
    ):
        birds(photos).write(tmp_path / 'report.html')
        driver = visit(page=(tmp_path / 'report.html').as_uri())
        cards = text(driver, '.card')
        assert [card.partition('map: ')[2] for card in cards] == whose
        assert text(driver, '#gallery .bar p') == [label]
    assert 'predicted: none' in cards[0]
    # the score is that of a class which the row names
    driver.execute_cdp_cmd('Browser.setDownloadBehavior',
                           dict(behavior='allow', downloadPath=str(tmp_path)))
    find(driver, '#csv')[0].click()
    wait(driver, (tmp_path / 'photos.csv').exists)
    with open(tmp_path / 'photos.csv', newline='') as file:
        rows = [(row['predicted'], row['best'], row['score'])
                for row in csv.DictReader(file)]
    assert rows == [('', 'blue bill', '0.5'),
                    ('red ruff; blue bill', 'blue bill', '0.5'),
                    ('blue bill', 'blue bill', '0.5')]


def pixel_heat(driver, index, layer, place, head, width, height):
    """What the page computes for its pixels, and the codes it starts from."""
    return map(
        np.array,
        driver.execute_async_script(
            """const [index, layer, place, head, width, height, done] =
                 arguments;
            const item = JSON.parse(
              document.getElementById('items').textContent)[index];
            Heat.inflate(document.getElementById(`maps-${index}`).textContent)
              .then((codes) => {
                const map = Heat.take(item, codes, layer, place, head);
                done([Array.from(Heat.sample(item, map, width, height)),
                      Array.from(map)]);
              });""", index, layer, place, head, width, height))


@needs_browser
@pytest.mark.parametrize('head', [None, 1])
def test_heat_lies_where_python_says(visit, head):
    driver, (width, height) = visit(), (123, 77)
    heat, cells = pixel_heat(driver, 3, 1, 2, head, width, height)
    explanation = EXPLANATIONS[3]
    maps = explanation.maps[1, 2] * 35
    expected = maps.mean(0) if head is None else maps[head]

    def sample(values):
        return explanation.geometry.resample(
            values.reshape(5, 7), explanation.img_shape,
            (height, width)).ravel()

    np.testing.assert_allclose(heat, sample(cells), rtol=1e-6)
    # half a step of the codes, and what lies below the least of them
    np.testing.assert_allclose(heat, sample(expected), rtol=.0220, atol=.13)
    assert np.abs(heat - sample(expected)[::-1]).max() > 1


@needs_browser
def test_class_head_layer_and_opacity_change_the_picture(visit):
    driver = visit('#image=3')
    picture = pixels(driver)
    # one opacity, and colours from dark to light
    assert picture[..., 3].min() == picture[..., 3].max() > 100
    assert np.ptp(picture[..., :3].sum(-1)) > 200
    assert '(true)' in text(driver, '.class')[0]
    assert '(predicted)' in text(driver, '.class')[1]
    assert find(driver, '.class input')[1].is_selected()
    assert 'blue bill: mean' in text(driver, 'figcaption')
    for step in ('class', 'head', 'layer'):
        if step == 'class':
            find(driver, '.class input')[2].click()
        elif step == 'head':
            find(driver, '.heads button')[2].click()
        else:
            choose(driver, 'layer', '0')
        before, picture = picture, pixels(driver)
        assert (before != picture).any(-1).mean() > .2
    choose(driver, 'opacity', '.5')
    faint = pixels(driver)
    np.testing.assert_allclose(
        faint[..., 3], picture[..., 3] * .5, rtol=0, atol=1)
    choose(driver, 'opacity', '0')
    assert pixels(driver).max() == 0
    # heads and layers have the numbers of arrays, in links as on the page
    for part in ('class=2', 'head=1', 'layer=0', 'opacity=0'):
        assert part in driver.current_url
    assert text(driver,
                '.heads button') == ['mean', 'head 0', 'head 1', 'head 2']
    assert text(driver, '#layer option') == ['layer 0', 'layer 1']
    choose(driver, 'opacity', '1')
    again = pixels(visit(f"#{driver.current_url.partition('#')[2]}"))
    np.testing.assert_array_equal(again, picture)


@needs_browser
def test_two_classes_side_by_side(visit):
    driver = visit('#image=3&class=0&versus=1&head=1')
    one, other, difference = (pixels(driver, i) for i in range(3))
    assert text(driver, 'figcaption') == [
        'photo', 'red ruff: head 1', 'blue bill: head 1', 'difference'
    ]
    np.testing.assert_array_equal(one,
                                  pixels(visit('#image=3&class=0&head=1')))
    np.testing.assert_array_equal(other,
                                  pixels(visit('#image=3&class=1&head=1')))
    # that of figures, also where both are below even attention
    explanation = EXPLANATIONS[3]
    maps = 35 * explanation.maps[1]
    pair, shape = maps[:2, 1], difference.shape[:2]
    one, other = explanation.geometry.resample(pair, explanation.img_shape,
                                               shape)
    gain, top = one - other, max(10, np.quantile(maps, .998))
    norm = difference_scale(np.array([top]), '').norm
    assert (norm.vmin, norm.vmax) == (-top, top)
    found = numbers(difference, difference_colors()) / 255
    np.testing.assert_allclose(found, norm(gain), atol=.03)
    both = (one < 1) & (other < 1)
    assert np.ptp(found[both]) > .1 and np.ptp(found) > .5
    visit('#image=3&class=0&versus=1&head=1')
    wait_for_text(driver, '#detail .bar:last-child p', [
        '← more for blue bill | difference / uniform | more for red ruff →'
        '; cells beyond have the last colour'
    ])
    ticks = driver.execute_script('''return Array.from(
        document.querySelectorAll('#detail .bar:last-child .ticks span'),
        (tick) => [Number(tick.innerText.replace('−', '-')),
                   parseFloat(tick.style.left) / 100]);''')
    assert len(ticks) > 6
    for value, place in ticks:
        assert place == pytest.approx(float(norm(value)), abs=1e-3)
    choose(driver, 'versus', '2')
    assert len(find(driver, '.panels canvas')) == 3
    find(driver, '.class input')[2].click()
    assert len(find(driver, '.panels canvas')) == 1


@needs_browser
def test_labels_of_saved_bars_stand_in_lines(visit, tmp_path):
    driver = visit('#image=3&class=0&versus=1&head=1')
    wait(driver, lambda: find(driver, '#save-svg'))
    driver.execute_cdp_cmd('Browser.setDownloadBehavior',
                           dict(behavior='allow', downloadPath=str(tmp_path)))
    find(driver, '#save-svg')[0].click()
    wait(driver, lambda: list(tmp_path.glob('*.svg')))
    saved, = tmp_path.glob('*.svg')
    figure = ElementTree.parse(saved).getroot()
    rows = [(part.text, float(part.get('y') or 0)) for part in figure]
    last = [y for text, y in rows if 'beyond' in (text or '')]
    label = [y for text, y in rows if text == 'attention / uniform']
    assert label and max(last) > max(label)
    assert max(last) < float(figure.get('height'))


@needs_browser
def test_what_a_head_looks_for(visit):
    driver = visit('#class=0&head=2')
    assert text(driver, '#class-page h2') == ['Where red ruff looks']
    wait(driver, lambda: len(find(driver, '#class-page canvas')) == 3)
    wait_for_text(driver, '#class-page .name', ['photo_0.jpg', 'photo_3.jpg'])
    choose(driver, 'group', 'any')
    # seven cards and the colour scale: nothing moves below the pointer now
    wait(driver, lambda: len(find(driver, '#class-page canvas')) == 8)
    assert 'head=2' in driver.current_url and 'of=any' in driver.current_url
    find(driver, '#class-page .card')[0].click()
    wait_for_text(driver, 'figcaption', ['photo', 'red ruff: head 2'])
    assert 'image=0' in driver.current_url
    driver.back()
    wait(driver, lambda: len(find(driver, '#class-page .card')) == 7)
    visit('#class=5')
    assert 'No image' in text(driver, '#class-page')[0]


@needs_browser
def test_evidence_and_margin(visit, evidence_page):
    """Signed maps, whose difference is the margin; sums stand beside them."""
    driver = visit('#image=3&class=0&versus=1', evidence_page)
    one, other, margin = (pixels(driver, i) for i in range(3))
    evidence = EVIDENCE[3].evidence.sum(1)

    def signed(value):
        return f'{value:+.2f}'.replace('-', '−')

    sums = evidence.sum((-2, -1))
    assert text(driver, 'figcaption')[1:] == [
        f'red ruff: evidence {signed(sums[0])}',
        f'blue bill: evidence {signed(sums[1])}',
        f'why red ruff and not blue bill: {signed(sums[0] - sums[1])}'
    ]
    assert 'These maps add up' in text(driver, 'header p')[0]
    assert text(driver, '.even') == [
        'These maps add up to the score; with even attention: 16.7 %'
    ]
    assert text(driver, '.class small') == ['found 0.60'] * 3
    assert '0' in text(driver, '#detail .ticks')[0]
    assert '×' not in text(driver, '#detail .bars')[0]
    # colours are linear, of one scale: the difference of two is their margin
    height, width = margin.shape[:2]
    top = max(np.abs(evidence).max(), np.ptp(evidence, axis=0).max())

    def values(picture):
        return (numbers(picture, difference_colors()) - 128) / 127

    expected = EVIDENCE[3].geometry.resample(evidence, EVIDENCE[3].img_shape,
                                             (height, width)) / top
    for picture, wanted in ((one, expected[0]), (other, expected[1]),
                            (margin, expected[0] - expected[1])):
        assert np.abs(values(picture) - wanted).max() < .03
    find(driver, '.heads button')[2].click()
    of_head = EVIDENCE[3].evidence[:2, 1].sum((-2, -1))
    assert text(driver,
                'figcaption')[3].endswith(signed(of_head[0] - of_head[1]))
    visit('#class=0&of=any', evidence_page)
    wait(driver, lambda: len(find(driver, '#class-page canvas')) == 8)
    assert text(driver, '.choice button')[0] == 'evidence'


@needs_browser
def test_scale_of_evidence_is_that_of_what_is_shown(visit, evidence_page):
    driver = visit('#class=0&of=any', evidence_page)
    wait(driver, lambda: len(find(driver, '#class-page canvas')) == 8)
    tops = sorted(
        np.quantile(np.abs(one.evidence[0].sum(0)), .998) for one in EVIDENCE)
    scales = driver.execute_script('''
        const items = JSON.parse(document.getElementById('items').textContent);
        const first = (item) => item.classes[0];
        return [Heat.scale(items, null, true, first),
                Heat.scale(items.slice(0, 1), null, true)];''')
    assert scales[0]['top'] == pytest.approx(tops[3], rel=1e-4)
    assert scales[0]['beyond'] and not scales[1]['beyond']
    said = '; cells beyond have the last colour'
    assert text(driver, '#class-page .bar p')[0].endswith(said)
    visit('', evidence_page)
    assert text(driver, '#gallery .bar p')[0].endswith(said)


@needs_browser
def test_keys_walk_through_what_the_filter_shows(visit):
    keys = pytest.importorskip('selenium.webdriver.common.keys').Keys
    driver = visit('#errors=1')
    find(driver, '.card')[0].click()
    body = driver.find_element('tag name', 'body')
    wait_for_text(driver, '#detail h2', ['photo_3.jpg'])
    body.send_keys(keys.RIGHT)
    wait_for_text(driver, '#detail h2', ['photo_6.jpg'])
    body.send_keys(keys.RIGHT)
    body.send_keys(keys.LEFT)
    wait_for_text(driver, '#detail h2', ['photo_3.jpg'])
    body.send_keys(keys.ESCAPE)
    wait(
        driver, lambda: shown(driver) == [3, 6] and find(driver, '.card')[0].
        is_displayed())
    visit('#image=77')
    assert 'no image 77' in text(driver, '#detail')[0]


@needs_browser
def test_opening_touches_few_maps_and_images(driver, tmp_path):
    report = HTMLReport()
    for i in range(150):
        report.add(EXPLANATIONS[i % 7])
    report.write(tmp_path / 'report.html')
    page = (tmp_path / 'report.html').read_text()
    # every map is broken, and the page would say so
    page = re.sub(r'(id="maps-\d+">)[^<]+', r'\1!', page)
    (tmp_path / 'report.html').write_text(page)
    driver.get((tmp_path / 'report.html').as_uri())
    wait(driver, lambda: len(find(driver, '.thumbs .wrong')) > 5)
    assert len(find(driver, '.card')) == 150
    assert len(find(driver, '.thumbs .wrong')) < 75
    assert len(find(driver, '.card img[src]')) < 75
    assert '✓ class 0' in text(driver, '.card')[0]
    assert 'No map: ' in text(driver, '.card')[0]
    assert console_errors(driver) == []
    driver.get((tmp_path / 'report.html').as_uri() + '#image=1')
    wait(driver, lambda: text(driver, '[role=alert]'))
    assert 'cannot be shown' in text(driver, '[role=alert]')[0]


@needs_browser
def test_narrow_window_needs_no_sideways_scrolling(visit, driver):
    size = driver.get_window_size()
    driver.set_window_size(500, 800)
    try:
        for link in ('', '#image=2&class=0&versus=2', '#class=2&head=1'):
            visit(link)
            wait(
                driver,
                lambda: any(element.is_displayed()
                            for element in find(driver, 'canvas, .card')))
            assert driver.execute_script(
                'const e = document.documentElement;'
                'return e.scrollWidth - e.clientWidth') == 0
    finally:
        driver.set_window_size(size['width'], size['height'])
