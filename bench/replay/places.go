package replay

// place is a location of the replayed wholesaler: the data set names none, so
// eight are laid out over its market.
type place struct {
	id, kind, channel, region, zone string
	lat, lon                        float64
	shipping, handling              string
}

// places are the eight locations stock is spread over.
var places = []place{
	{"london", "warehouse", "own_online", "UK-LDN", "Europe/London", 51.5074, -0.1278, "3.20", "0.12"},
	{"birmingham", "store", "own_store", "UK-WMD", "Europe/London", 52.4862, -1.8904, "3.60", "0.18"},
	{"manchester", "store", "own_store", "UK-NW", "Europe/London", 53.4808, -2.2426, "3.60", "0.18"},
	{"leeds", "store", "own_store", "UK-YRK", "Europe/London", 53.8008, -1.5491, "3.60", "0.18"},
	{"glasgow", "store", "franchise_store", "UK-SCT", "Europe/London", 55.8642, -4.2518, "3.90", "0.20"},
	{"bristol", "store", "own_store", "UK-SW", "Europe/London", 51.4545, -2.5879, "3.60", "0.18"},
	{"dublin", "store", "franchise_store", "IE-L", "Europe/Dublin", 53.3498, -6.2603, "4.20", "0.20"},
	{"rotterdam", "warehouse", "own_online", "NL-ZH", "Europe/Amsterdam", 51.9244, 4.4777, "4.80", "0.14"},
}

// homes are where orders of the home country go: the data set gives no town, so
// a customer has a fixed one of these.
var homes = [][2]float64{
	{51.51, -0.13}, {51.45, -0.97}, {50.82, -0.14}, {51.28, 0.52}, {52.21, 0.12}, {52.63, 1.30},
	{51.75, -1.26}, {50.91, -1.40}, {51.45, -2.59}, {50.38, -4.14}, {51.48, -3.18}, {51.62, -3.94},
	{52.49, -1.89}, {52.95, -1.15}, {52.64, -1.13}, {53.38, -1.47}, {53.48, -2.24}, {53.41, -2.98},
	{53.80, -1.55}, {53.96, -1.08}, {54.98, -1.61}, {55.95, -3.19}, {55.86, -4.25}, {54.60, -5.93},
}

// countries are the middles of the other countries orders go to.
var countries = map[string][2]float64{
	"Australia": {-25.3, 133.8}, "Austria": {47.5, 14.6}, "Bahrain": {26.1, 50.6}, "Belgium": {50.5, 4.5},
	"Brazil": {-14.2, -51.9}, "Canada": {56.1, -106.3}, "Channel Islands": {49.4, -2.4}, "Cyprus": {35.1, 33.4},
	"Czech Republic": {49.8, 15.5}, "Denmark": {56.3, 9.5}, "EIRE": {53.4, -8.2}, "European Community": {50.1, 9.7},
	"Finland": {61.9, 25.7}, "France": {46.2, 2.2}, "Germany": {51.2, 10.5}, "Greece": {39.1, 21.8},
	"Hong Kong": {22.4, 114.1}, "Iceland": {65.0, -19.0}, "Israel": {31.0, 34.9}, "Italy": {41.9, 12.6},
	"Japan": {36.2, 138.3}, "Lebanon": {33.9, 35.9}, "Lithuania": {55.2, 23.9}, "Malta": {35.9, 14.4},
	"Netherlands": {52.1, 5.3}, "Norway": {60.5, 8.5}, "Poland": {51.9, 19.1}, "Portugal": {39.4, -8.2},
	"RSA": {-30.6, 22.9}, "Saudi Arabia": {23.9, 45.1}, "Singapore": {1.4, 103.8}, "Spain": {40.5, -3.7},
	"Sweden": {60.1, 18.6}, "Switzerland": {46.8, 8.2}, "USA": {37.1, -95.7}, "United Arab Emirates": {23.4, 53.8},
}
