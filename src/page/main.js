// The page begins here: each view registers itself, in the order of the navigation.
import './login.js';
import './keys.js';
import './make.js';
import './look.js';
import './all_keys.js';
import './users.js';
import './audit.js';
import './feed.js';
import './ring.js';
import {start} from './frame.js';

start();
